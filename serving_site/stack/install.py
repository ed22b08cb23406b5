"""What the servers need of the machine: found, or installed with apt on Debian as root, or named as missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from serving_site.stack.server import ServerMissing

#: Server → (a program or file that shows it is there, Debian's package).
NEEDED = {
    "PostgreSQL": ("/usr/lib/postgresql/*/bin/postgres", "postgresql"),
    "RabbitMQ": ("/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server"),
    "Redis": ("redis-server", "redis-server"),
    "Prometheus": ("prometheus", "prometheus"),
    "Alertmanager": ("prometheus-alertmanager", "prometheus-alertmanager"),
    "Node exporter": ("prometheus-node-exporter", "prometheus-node-exporter"),
    "PostgreSQL exporter": ("prometheus-postgres-exporter", "prometheus-postgres-exporter"),
    "Redis exporter": ("prometheus-redis-exporter", "prometheus-redis-exporter"),
    "Elasticsearch exporter": ("prometheus-elasticsearch-exporter", "prometheus-elasticsearch-exporter"),
    "Java 17": ("java", "openjdk-17-jre-headless"),
    "Maven": ("mvn", "maven"),
    "Chromium": ("chromium", "chromium"),
    "npm": ("npm", "npm"),
}
#: Those of `NEEDED` that only watch: `make stack` does without them.
EXPORTERS = tuple(name for name in NEEDED if name.endswith(" exporter"))


def missing(*names: str) -> dict[str, str]:
    """Of the named servers (all when none is named) those not on this machine, with their package."""
    return {name: NEEDED[name][1] for name in names or NEEDED if not _present(NEEDED[name][0])}


def ensure(*names: str) -> None:
    """Install what is missing; raises `ServerMissing` naming it where that is not possible."""
    absent = missing(*names)
    if not absent:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise ServerMissing(f"not installed: {', '.join(absent)} (Debian packages: {' '.join(absent.values())})")
    # RUNLEVEL=1 keeps the packages from starting the system's own instances; we start private ones.
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (["update"], ["install", "-y", "--no-install-recommends", *absent.values()]):
        subprocess.run(["apt-get", "-qq", *command], env=env, check=True, timeout=900, stdout=subprocess.DEVNULL)  # noqa: S603, S607
    left = missing(*names)
    if left:
        raise ServerMissing(f"installed, yet not found: {', '.join(left)}")


def _present(mark: str) -> bool:
    if "/" in mark:
        return any(Path("/").glob(mark.lstrip("/")))
    return shutil.which(mark) is not None
