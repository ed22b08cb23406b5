"""What each kind of process is started with: the entry point of the image, and of every process of `make stack`.

    python -m serving_site.roles web | worker <priority> | keeper | beat | migrate | credentials <folder> | manage …

Each role replaces this process, so that the signals of a container reach it directly.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from serving_site.supervisor import PROCESS_ENVIRONMENT

POOL = "predictions.default"
#: Priority → the queue its workers take from; `operations` publishes, purges and exports.
QUEUES = {
    **{priority: f"{POOL}.{priority}" for priority in ("interactive", "standard", "bulk")},
    "operations": "operations",
}
#: Tasks at once of a worker, each mostly waiting for a model's process.
WORKER_THREADS = 2


@dataclass(frozen=True, slots=True)
class Command:
    """A program's arguments after the interpreter, and what is set for it besides the environment it is in."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


def web() -> Command:
    return Command(("manage.py", "serve"))


def worker(queue: str, *, name: str, threads: int = WORKER_THREADS) -> Command:
    """A Celery worker of one queue."""
    arguments = (
        *("-m", "celery", "-A", "serving_site", "worker", "-P", "threads", "-c", str(threads)),
        *("-Q", queue, "-n", name, "-l", "WARNING"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    )
    return Command(arguments, {**_SHARED, "SERVING_ROLE": "worker"})


def keeper() -> Command:
    return Command(("manage.py", "keep"), {**_SHARED, "SERVING_ROLE": "keeper"})


def beat() -> Command:
    arguments = ("-m", "celery", "-A", "serving_site", "beat", "-l", "WARNING", "--pidfile", "")
    return Command(arguments, {"SERVING_ROLE": "beat"})


def migrate() -> Command:
    return Command(("manage.py", "set_up"), {"SERVING_ROLE": "migrate"})


def command_of(arguments: Sequence[str]) -> Command:
    """The command of a role and its arguments. Raises ValueError naming what is not known."""
    match list(arguments):
        case ["web"]:
            return web()
        case ["worker", priority] if priority in QUEUES:
            threads = int(os.environ.get("WORKER_THREADS") or WORKER_THREADS)
            return worker(QUEUES[priority], name=f"{priority}@%h", threads=threads)
        case ["worker", *rest]:
            raise ValueError(f"a worker takes one of {', '.join(QUEUES)}, not {' '.join(rest) or 'nothing'}")
        case ["keeper"]:
            return keeper()
        case ["beat"]:
            return beat()
        case ["migrate"]:
            return migrate()
        case ["credentials", folder]:
            return Command(("-m", "serving_site.credentials", folder))
        case ["manage", *rest]:
            return Command(("manage.py", *rest))
    raise ValueError(f"{' '.join(arguments) or 'nothing'} is no role; there are {', '.join(ROLES)}")


def enter(arguments: Sequence[str]) -> NoReturn:
    """Become what `arguments` name; exits with status 2 and a sentence when that is nothing."""
    try:
        command = command_of(arguments)
    except ValueError as error:
        sys.exit(f"serving-blueprint: {error}")
    environment = {**os.environ, **command.environment}
    os.execve(sys.executable, [sys.executable, *command.arguments], environment)  # noqa: S606 - ours


ROLES = ("web", "worker", "keeper", "beat", "migrate", "credentials", "manage")
_SHARED = {name: value for name, value in PROCESS_ENVIRONMENT.items() if name != "SERVING_ROLE"}

if __name__ == "__main__":
    enter(sys.argv[1:])
