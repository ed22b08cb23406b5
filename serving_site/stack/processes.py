"""Our own processes of the services mode: what each is started with, and when it counts as started."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirakuru import HTTPExecutor, SimpleExecutor, TCPExecutor
from mirakuru.exceptions import ExecutorError, ProcessFinishedWithError

from serving_site import roles
from serving_site.stack import leftovers

ROOT = Path(__file__).resolve().parent.parent.parent
START_S = 90
#: What a process that is told to end gets beyond its own drain before it is killed.
END_S = 30


@dataclass(frozen=True, slots=True)
class Plan:
    """One process: `port` is its metrics' (of web: its own), 0 when it has none."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    port: int = 0

    @property
    def is_web(self) -> bool:
        return self.name.startswith("web")


def web(name: str, *, port: int, processes: int) -> Plan:
    return _plan(name, roles.web(), port, PORT=str(port), SERVER_PROCESSES=str(processes), SERVING_ROLE="")


def worker(name: str, queue: str, *, port: int, alive: Path, threads: int = roles.WORKER_THREADS) -> Plan:
    """A Celery worker of one queue; `alive` is the file it touches while it consumes."""
    role = roles.worker(queue, name=f"{name}@localhost", threads=threads)
    return _plan(name, role, port, METRICS_PORT=str(port), LIVENESS_FILE=str(alive))


def keeper(name: str, *, port: int) -> Plan:
    return _plan(name, roles.keeper(), port, METRICS_PORT=str(port))


def beat(name: str = "beat") -> Plan:
    return _plan(name, roles.beat())


def _plan(name: str, role: roles.Command, port: int = 0, **environment: str) -> Plan:
    return Plan(name, (sys.executable, *role.arguments), {**role.environment, **environment}, port)


class Process:
    """One process of a plan: started, watched, started again, ended; its output goes to `<folder>/<name>.log`."""

    def __init__(self, plan: Plan, folder: Path, environment: Mapping[str, str]) -> None:
        self.plan = plan
        self.log = folder / f"{plan.name}.log"
        self._environment = {**os.environ, **environment, **plan.environment, "PYTHONUNBUFFERED": "1"}
        self._executor: SimpleExecutor | None = None

    @property
    def pid(self) -> int:
        """Process id; 0 while it does not run."""
        process = self._executor.process if self._executor is not None else None
        return process.pid if process is not None else 0

    def start(self, *, wait: bool = True) -> None:
        """Start it and, with `wait`, wait until it answers or consumes. Raises when it ends before."""
        alive = self._environment.get("LIVENESS_FILE", "")
        if alive:
            Path(alive).unlink(missing_ok=True)
        self._executor = executor = self._make() if wait else self._simple()
        leftovers.begin(executor)
        if wait and alive:
            self._await(executor, Path(alive))

    def runs(self) -> bool:
        process = self._executor.process if self._executor is not None else None
        return process is not None and process.poll() is None

    def stop(self) -> None:
        if self._executor is not None:
            with suppress(ProcessFinishedWithError):
                self._executor.stop()

    def tail(self, lines: int = 20) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def _await(self, executor: SimpleExecutor, alive: Path) -> None:
        end = time.monotonic() + START_S
        while not alive.exists():
            if not self.runs() or time.monotonic() > end:
                raise ExecutorError(executor)
            time.sleep(0.1)

    def _make(self) -> SimpleExecutor:
        if self.plan.is_web:
            url = f"http://127.0.0.1:{self.plan.port}/health/ready"
            return HTTPExecutor(list(self.plan.command), url, method="GET", timeout=START_S, **self._how())
        if self.plan.port:
            return TCPExecutor(list(self.plan.command), "127.0.0.1", self.plan.port, timeout=START_S, **self._how())
        return self._simple()

    def _simple(self) -> SimpleExecutor:
        return SimpleExecutor(list(self.plan.command), timeout=END_S, **self._how())

    def _how(self) -> dict[str, Any]:
        log = self.log.open("ab")
        return {
            "cwd": str(ROOT),
            "envvars": self._environment,
            "stdin": subprocess.DEVNULL,
            "stdout": log,
            "stderr": subprocess.STDOUT,
        }
