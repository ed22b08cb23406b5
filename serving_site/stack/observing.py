"""What watches the stack: exporters beside its servers, Alertmanager, and Prometheus, which knows where all are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from serving_site.stack import alertmanager, exporters, prometheus
from serving_site.stack.processes import Process
from serving_site.stack.server import Server


@dataclass(frozen=True, slots=True)
class Manner:
    """`receiver`: where alerts are posted to; `times_faster`: by how much windows and patience are shortened."""

    receiver: str = ""
    times_faster: float = 1


def start(
    root: Path,
    *,
    servers: Mapping[str, Server],
    processes: Iterable[Process],
    port_of: Callable[[str], int],
    manner: Manner,
) -> dict[str, Server]:
    """Start all of it; `port_of` gives the port of a server by its name."""
    targets = _targets(servers, processes)
    started: dict[str, Server] = {}
    for job, exporter in exporters.start(root, {name: server.url for name, server in servers.items()}):
        started[exporter.name] = exporter
        targets.setdefault(job, []).append(_place(exporter.url))
    told = alertmanager.start(
        root, port=port_of("alertmanager"), receiver=manner.receiver, times_faster=manner.times_faster
    )
    targets["alertmanager"] = [_place(told.url)]
    started["alertmanager"] = told
    started["prometheus"] = prometheus.start(
        root, targets=targets, port=port_of("prometheus"), times_faster=manner.times_faster
    )
    return started


def _targets(servers: Mapping[str, Server], processes: Iterable[Process]) -> dict[str, list[str]]:
    """Where Prometheus finds our processes, by job, and RabbitMQ's own metrics."""
    found: dict[str, list[str]] = {}
    for process in processes:
        if process.plan.port:
            found.setdefault(process.plan.name.split("-")[0], []).append(f"127.0.0.1:{process.plan.port}")
    if "rabbitmq" in servers:
        found["rabbitmq"] = [_place(servers["rabbitmq"].extra_urls["metrics"])]
    return found


def _place(url: str) -> str:
    return urlsplit(url).netloc
