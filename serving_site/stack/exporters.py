"""Prometheus' exporters beside the servers of the stack: those that are on the machine (Debian's packages)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mirakuru.exceptions import ExecutorError

from serving_site.stack.server import Server, ServerMissing, folder_for, free_port, launch, program


@dataclass(frozen=True, slots=True)
class Exporter:
    """What reads one server (`name` is the server's) for the job of Prometheus; the job is also the program's."""

    name: str
    job: str
    words: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def start(root: Path, urls: Mapping[str, str]) -> list[tuple[str, Server]]:
    """Start one for each of these servers (name → URL) and one for the machine: (job, exporter).

    One that is not installed, or does not start, is left out: watching never keeps the stack from its work.
    """
    started = []
    for exporter in wanted(urls):
        with suppress(ServerMissing, ExecutorError):
            started.append((exporter.job, _launch(root, exporter)))
    return started


def wanted(urls: Mapping[str, str]) -> Iterator[Exporter]:
    """How each of these servers is read."""
    yield Exporter("machine", "node")
    for name, url in urls.items():
        if name.startswith("redis"):
            yield Exporter(name, "redis", (f"--redis.addr={url}",))
        elif name == "postgres":
            yield Exporter(name, "postgres", environment={"DATA_SOURCE_NAME": f"{url}?sslmode=disable"})
        elif name == "elasticsearch":
            yield Exporter(name, "elasticsearch", (f"--es.uri={url}",))


def _launch(root: Path, exporter: Exporter) -> Server:
    """Raises `ServerMissing` when its program is not there."""
    found = program(f"prometheus-{exporter.job}-exporter")
    name, port = f"exporter-{exporter.name}", free_port()
    return launch(
        name,
        [found, f"--web.listen-address=127.0.0.1:{port}", *exporter.words],
        folder=folder_for(root, name),
        port=port,
        url=f"http://127.0.0.1:{port}/metrics",
        env={"GOMAXPROCS": "1", **exporter.environment},
        timeout=10,
    )
