"""A compose project that runs in podman: the order, conditions and health checks of the file, on real containers.

    with running(project) as up:
        up.execute("web", "id", "-u"); up.port; up.key

podman's own timers of health checks need systemd; here each check is run until it passes or its own patience is over.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.deploy import compose
from tests.deploy.compose import Project, Service

#: A noisy machine with few cores may take this many times what a health check gives.
PATIENCE = 2.0
ONCE_LIMIT_S = 600.0
#: Health checks are run here, and this account may raise no limit beyond what it was given itself.
ENVIRONMENT = {**os.environ, "DISABLE_HC_SYSTEMD": "true"}


class Ended(Exception):
    """A container has ended that should run, or with another status than 0."""


class Up:
    """The containers of a project; named `<project>-<service>`."""

    def __init__(self, project: Project) -> None:
        self.project = project
        #: Service → seconds from its start to healthy, of those that others waited for.
        self.took_s: dict[str, float] = {}
        self._begun: dict[str, float] = {}

    def start(
        self, profile: str = "", *, without: frozenset[str] = frozenset(), only: frozenset[str] | None = None
    ) -> None:
        """Start every service of the profile, or those of `only`, that is not there yet."""
        there = podman("ps", "-a", "--format", "{{.Names}}").split()
        networks = podman("network", "ls", "--format", "{{.Name}}").split()
        for name, how in self.project.networks.items():
            if f"{self.project.name}_{name}" not in networks:
                internal = ["--internal"] if how.get("internal") else []
                podman("network", "create", *internal, f"{self.project.name}_{name}")
        for service in self.project.in_order(profile):
            wanted = service.name not in without and (only is None or service.name in only)
            if wanted and self.name(service.name) not in there:
                self.start_one(service)

    def start_one(self, service: Service) -> None:
        """Start it once what it needs is as it says."""
        for needed, condition in service.needs.items():
            if condition == "service_healthy" and needed not in self.took_s:
                self.await_healthy(needed)
        self._begun[service.name] = time.monotonic()
        run = ["run", "--detach", "--pull=never", "--runtime", "runc", "--name", self.name(service.name)]
        run += ulimits()
        command = [str(word) for word in service.facts.get("command", ())]
        podman(*run, *compose.arguments(service, self.project), f"localhost/{service.image}", *command)
        if service.runs_once:
            self._await_end(service)

    def run_once(self, name: str, *command: str, entry: str = "", mounts: Mapping[Path, str] | None = None) -> str:
        """As `docker compose run --rm --entrypoint <entry> <name> <command>` with more mounted; what it printed."""
        service = self.project.services[name]
        run = ["run", "--rm", "--pull=never", "--runtime", "runc", "--name", self.name(f"{name}-run"), *ulimits()]
        for path, place in (mounts or {}).items():
            run += ["--volume", f"{path}:{place}"]
        if entry:
            run += ["--entrypoint", entry]
        image = f"localhost/{service.image}"
        return podman(*run, *compose.arguments(service, self.project), image, *command, limit=ONCE_LIMIT_S)

    def _await_end(self, service: Service) -> None:
        status = podman("wait", self.name(service.name), limit=ONCE_LIMIT_S).strip()
        if status != "0":
            raise Ended(f"{service.name} ended with {status}:\n{self.logs(service.name)[-4000:]}")

    def await_healthy(self, name: str, *, limit: float = 0.0) -> None:
        """Run its health check until it passes. Raises TimeoutError with what it said last, Ended when it ended."""
        limit = limit or PATIENCE * max(60.0, self.project.services[name].patience_s)
        end = time.monotonic() + limit
        while not self.is_healthy(name):
            if self.state(name)["Status"] != "running":
                raise Ended(f"{name} ended:\n{self.logs(name)[-4000:]}")
            if time.monotonic() > end:
                raise TimeoutError(f"{name} is not healthy within {limit:.0f} s:\n{self.logs(name)[-4000:]}")
            time.sleep(1)
        self.took_s.setdefault(name, time.monotonic() - self._begun[name])

    def is_healthy(self, name: str) -> bool:
        done = subprocess.run(
            ["podman", "healthcheck", "run", self.name(name)],
            env=ENVIRONMENT,
            capture_output=True,
            timeout=60,
            check=False,
        )
        return done.returncode == 0

    def execute(self, name: str, *command: str, tolerant: bool = False, limit: float = 120.0) -> str:
        return podman("exec", self.name(name), *command, tolerant=tolerant, limit=limit)

    def logs(self, name: str) -> str:
        return podman("logs", self.name(name), tolerant=True)

    def runs(self, name: str) -> bool:
        """Is it part of the project, and does it run?"""
        return name in self.project.services and self.state(name)["Status"] == "running"

    def inspect(self, name: str) -> dict[str, Any]:
        return dict(json.loads(podman("inspect", self.name(name)))[0])

    def state(self, name: str) -> dict[str, Any]:
        return dict(self.inspect(name)["State"])

    def address(self, name: str, network: str = "inside") -> str:
        """Its address in a network, which this machine is in as well."""
        return str(self.inspect(name)["NetworkSettings"]["Networks"][f"{self.project.name}_{network}"]["IPAddress"])

    def volume(self, name: str) -> Path:
        return Path(podman("volume", "inspect", "--format", "{{.Mountpoint}}", f"{self.project.name}_{name}").strip())

    def name(self, service: str) -> str:
        return f"{self.project.name}-{service}"

    def stop(self) -> None:
        """Remove every container, volume and network of the project, as `docker compose down --volumes`."""
        self.took_s.clear()
        for name in podman("ps", "-a", "--format", "{{.Names}}").split():
            if name.startswith(f"{self.project.name}-"):
                podman("rm", "--force", "--time", "1", "--volumes", name, tolerant=True)
        for kind in ("volume", "network"):
            for name in podman(kind, "ls", "--format", "{{.Name}}").split():
                if name.startswith(f"{self.project.name}_"):
                    podman(kind, "rm", "--force", name, tolerant=True)


def podman(*arguments: str, tolerant: bool = False, limit: float = 180.0) -> str:
    """What it printed, both streams. Raises AssertionError with that when it failed, unless `tolerant`."""
    done = subprocess.run(
        ["podman", *arguments],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=limit,
        check=False,
    )
    if done.returncode != 0 and not tolerant:
        raise AssertionError(f"podman {' '.join(arguments)}: {done.returncode}\n{done.stdout[-4000:]}")
    return "\n".join(line for line in done.stdout.splitlines() if "failed to connect to syslog" not in line)


def ulimits() -> list[str]:
    """Most open files and processes that this account may hand on; podman's own wish may be beyond it."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    processes = min(4096, resource.getrlimit(resource.RLIMIT_NPROC)[1])
    return ["--ulimit", f"nofile={files}:{files}", "--ulimit", f"nproc={processes}:{processes}"]


@contextmanager
def planned(project: Project) -> Iterator[Up]:
    """Not started yet; removed with all its data at the end."""
    up = Up(project)
    up.stop()
    try:
        yield up
    finally:
        up.stop()


@contextmanager
def running(project: Project, **options: Any) -> Iterator[Up]:
    """Started, and removed with all its data at the end."""
    with planned(project) as up:
        up.start(**options)
        yield up
