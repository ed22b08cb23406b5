"""Prometheus' exporters beside the servers of the stack: those that are on the machine (Debian's packages)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from mirakuru.exceptions import ExecutorError

from serving_site.stack.prometheus import HOME
from serving_site.stack.server import Server, ServerMissing, folder_for, free_port, launch, program

#: Seconds until one answers. Elasticsearch's asks its server's page at the root first, which the minimal distribution
#: does not have, and goes on without it after ten.
PATIENCE_S = 30


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
    exporters = list(wanted(urls))
    with ThreadPoolExecutor(max_workers=len(exporters)) as pool:
        started = list(pool.map(lambda exporter: _started(root, exporter), exporters))
    return [(exporter.job, server) for exporter, server in zip(exporters, started, strict=True) if server is not None]


def wanted(urls: Mapping[str, str]) -> Iterator[Exporter]:
    """How each of these servers is read."""
    yield Exporter("machine", "node")
    for name, url in urls.items():
        if name.startswith("redis"):
            yield Exporter(name, "redis", (f"--redis.addr={url}",))
        elif name == "postgres":
            tables = f"--extend.query-path={HOME / 'exporters' / 'postgres.yml'}"
            yield Exporter(name, "postgres", (tables,), {"DATA_SOURCE_NAME": f"{url}?sslmode=disable"})
        elif name == "elasticsearch":
            yield Exporter(name, "elasticsearch", (f"--es.uri={url}",))


def _started(root: Path, exporter: Exporter) -> Server | None:
    try:
        return _launch(root, exporter)
    except (ServerMissing, ExecutorError):
        return None


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
        timeout=PATIENCE_S,
    )
