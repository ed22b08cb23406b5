"""The services mode on one machine, in order: servers → tables and demo models → our own processes; and back.

A URL that is set already is used instead of a server of our own, which is then neither started nor ended.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from mirakuru.exceptions import ExecutorError

from serving_site import banner, roles
from serving_site.stack import elasticsearch, install, observing, postgres, processes, rabbitmq, redis
from serving_site.stack.observing import Manner
from serving_site.stack.processes import ROOT, Process
from serving_site.stack.server import Server, free_port

PREPARE_S = 300
#: Seconds between two looks at whether everything runs, and before one that died is started again.
WATCH_EVERY_S = 1.0

#: Setting → the server that fills it and what must be installed for it.
_SERVERS = {
    "DATABASE_URL": ("postgres", ("PostgreSQL",)),
    "RABBITMQ_URL": ("rabbitmq", ("RabbitMQ",)),
    "REDIS_URL": ("redis-cache", ("Redis",)),
    "REDIS_RESULTS_URL": ("redis-results", ("Redis",)),
    "ELASTICSEARCH_URL": ("elasticsearch", ("Java 17", "Maven")),
}


class Stack:
    """Everything of the services mode below `root`; `given` holds URLs to use instead of servers of our own.

    `environment` reaches our own processes; `say` is told of every step; `observed` adds Prometheus and Alertmanager,
    in that `manner`.
    """

    def __init__(
        self,
        root: Path,
        *,
        port: int = 0,
        web_processes: int = 2,
        workers: Mapping[str, str] | None = None,
        given: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        downloads: Path | None = None,
        observed: bool = True,
        manner: Manner | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        self.root = root.resolve()
        self.data = self.root / "data"
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.servers: dict[str, Server] = {}
        self.processes: dict[str, Process] = {}
        self.given = dict(given or {})
        self._web_processes = web_processes
        self._workers = workers or roles.QUEUES
        self._environment = dict(environment or {})
        self._downloads = downloads or ROOT / "var" / "downloads"
        self._observed = observed
        self._manner = manner or Manner()
        self._say = say

    @property
    def environment(self) -> dict[str, str]:
        """What every process of ours is started with, but its own part."""
        urls = {**self.given, **{name: self.servers[_SERVERS[name][0]].url for name in self._own()}}
        own = {"DATA_DIR": str(self.data), "ANONYMOUS_PROJECT": "-", "FOLLOW_LOGS": ",".join(self._logs())}
        return {**urls, **own, **self._environment}

    def _logs(self) -> list[str]:
        """What the keeper follows: the logs of the servers of our own."""
        kinds = {"rabbitmq": "rabbitmq", "redis-cache": "redis", "redis-results": "redis"}
        found = [
            f"{kinds[name]}:{server.folder / f'{name}.log'}" for name, server in self.servers.items() if name in kinds
        ]
        if "postgres" in self.servers:
            found.append(f"postgresql:{self.servers['postgres'].folder / 'log' / 'postgresql-*.json'}")
        return found

    def start(self) -> float:
        """Start all of it; return the seconds that took. What was started is ended again when something fails."""
        began = time.monotonic()
        try:
            self.start_servers()
            self.prepare()
            self.start_processes()
        except BaseException:
            self.stop()
            raise
        return time.monotonic() - began

    def start_servers(self) -> None:
        """All at once: Elasticsearch alone takes a quarter of a minute."""
        self.data.mkdir(parents=True, exist_ok=True)
        wanted = [package for name in self._own() for package in _SERVERS[name][1]]
        self._say("Looking for the servers' programs (installing what is missing) …")
        install.ensure(*wanted, *(["Prometheus", "Alertmanager"] if self._observed else []))
        with ThreadPoolExecutor(max_workers=len(_SERVERS)) as pool:
            starting = {name: pool.submit(self.start_server, _SERVERS[name][0]) for name in self._own()}
        for started in starting.values():
            started.result()

    def start_server(self, name: str, *, port: int | None = None) -> Server:
        """Start one of the servers, also again after it was killed: then on its port and data."""
        before = self.servers.get(name)
        port = port or (before.port if before is not None else _steady_port(self.root, name))
        began = time.monotonic()
        if before is not None:
            with suppress(Exception):
                before.stop()
        self.servers[name] = started = self._launch(name, port)
        self._say(f"  {name:<20}{started.url}   ({time.monotonic() - began:.1f} s)")
        for what, url in started.extra_urls.items():
            self._say(f"  {'':<20}{what}: {url}")
        return started

    def prepare(self) -> None:
        """Tables, credentials and demo models, each only where missing."""
        with (self.root / "prepare.log").open("ab") as log:
            command = [sys.executable, str(ROOT / "manage.py"), "prepare"]
            self._say("Migrating the database and publishing the demo models …")
            environment = {**os.environ, **self.environment, "SERVING_ROLE": "prepare"}
            done = subprocess.run(  # noqa: S603 - ours
                command, cwd=ROOT, env=environment, stdout=log, stderr=log, timeout=PREPARE_S, check=False
            )
        if done.returncode:
            raise RuntimeError(f"preparing failed:\n{(self.root / 'prepare.log').read_text()[-4000:]}")

    def start_processes(self) -> None:
        """Web, workers, keeper and beat, all at once; then what watches them."""
        plans = self._plans()
        made = {plan.name: Process(plan, self.root, self.environment) for plan in plans}
        self.processes = made
        with ThreadPoolExecutor(max_workers=len(plans)) as pool:
            for name, started in [(name, pool.submit(process.start)) for name, process in made.items()]:
                try:
                    started.result()
                except ExecutorError as error:
                    raise RuntimeError(f"{name} did not start:\n{made[name].tail()}") from error
                self._say(f"  {name:<20}process {made[name].pid}   {self._where(made[name])}")
        if self._observed:
            self._observe()

    def watch(self) -> None:
        """Start again what has died, telling so; returns after one look."""
        for name, process in self.processes.items():
            if not process.runs():
                self._say(f"{name} has ended; it is started again. Its last lines:\n{process.tail(5)}")
                process.stop()
                process.start(wait=False)

    def stop(self) -> None:
        """End it in order: who makes work, who does it, who keeps it, then the servers."""
        order = sorted(self.processes.values(), key=lambda process: _ENDS.index(process.plan.name.split("-")[0]))
        groups = {process.plan.name.split("-")[0]: [] for process in order}  # type: dict[str, list[Process]]
        for process in order:
            groups[process.plan.name.split("-")[0]].append(process)
        for group in groups.values():
            _all_at_once([process.stop for process in group])
        self.processes = {}
        _all_at_once([server.stop for server in self.servers.values()])
        self.servers = {}

    def credentials(self) -> dict[str, Any]:
        """`{"project", "admin": {"user", "password"}, "api_key"}`"""

        class Where:
            DATA_DIR = self.data

        return banner.credentials(Where) or {}

    def _own(self) -> list[str]:
        return [name for name in _SERVERS if not self.given.get(name) and not self._covered(name)]

    def _covered(self, name: str) -> bool:
        return name == "REDIS_RESULTS_URL" and bool(self.given.get("REDIS_URL"))

    def _launch(self, name: str, port: int) -> Server:
        if name == "postgres":
            return postgres.start(self.root, port=port)
        if name == "rabbitmq":
            return rabbitmq.start(self.root, port=port)
        if name == "elasticsearch":
            return elasticsearch.start(self.root, port=port, downloads=self._downloads)
        policy = "allkeys-lru" if name == "redis-cache" else "noeviction"
        return redis.start(self.root, name=name, policy=policy, port=port)

    def _plans(self) -> list[processes.Plan]:
        plans = [processes.web("web", port=self.port, processes=self._web_processes)]
        for name, queue in self._workers.items():
            alive = self.root / f"worker-{name}.alive"
            plans.append(processes.worker(f"worker-{name}", queue, port=free_port(), alive=alive))
        return [*plans, processes.keeper("keeper", port=free_port()), processes.beat()]

    def _observe(self) -> None:
        port_of = partial(_steady_port, self.root)
        processes = self.processes.values()
        started = observing.start(
            self.root, servers=self.servers, processes=processes, port_of=port_of, manner=self._manner
        )
        self.servers.update(started)
        for name in ("prometheus", "alertmanager"):
            self._say(f"  {name:<20}{started[name].url}")

    def _where(self, process: Process) -> str:
        if process.plan.is_web:
            return self.url
        return f"http://127.0.0.1:{process.plan.port}/metrics" if process.plan.port else ""


_ENDS = ["beat", "web", "worker", "keeper"]


def _steady_port(root: Path, name: str) -> int:
    """The port the server had at its last start, where it is still free."""
    path = root / f"{name}.port"
    if path.exists():
        port = int(path.read_text())
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    port = free_port()
    path.write_text(str(port))
    return port


def _all_at_once(works: list[Callable[[], None]]) -> None:
    if works:
        with ThreadPoolExecutor(max_workers=len(works)) as pool:
            for done in [pool.submit(work) for work in works]:
                with suppress(Exception):
                    done.result()
