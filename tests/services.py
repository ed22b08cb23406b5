"""The services mode to test against: the same code as `make stack`, with short settings, behind `tests.running`'s face.

with running_services(folder) as services:
    services.post("/v1/predictions", {...})
    services.stack.servers["rabbitmq"]; services.stack.processes["worker-standard"].pid
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from serving_site.stack.running import Stack
from serving_site.stack.server import ServerMissing, discard
from tests.running import OURS, ROOT, Server
from tests.waiting import eventually

#: What tests shorten, and what keeps five servers and seven processes small on two cores.
SHORT = {"DRAIN_S": "5", "BLOCKING_THREADS": "48", "CHILD_MEMORY_LIMIT": str(2**31)}


class Services(Server):
    """A running stack, asked over HTTP as any server."""

    def __init__(self, folder: Path, *, environment: Mapping[str, str] | None = None, **options: Any) -> None:
        self.said: list[str] = []
        cleared = {name: "" for name in OURS if name in os.environ and name != "DATA_DIR"}
        self.stack = Stack(
            folder,
            environment={**cleared, "DJANGO_SETTINGS_MODULE": "serving_site.settings", **SHORT, **(environment or {})},
            downloads=ROOT / "var" / "downloads",
            say=self.said.append,
            **{"observed": False, **options},
        )
        self.folder = self.stack.data
        self.port = self.stack.port
        self.url = self.stack.url
        self.log = self.stack.root / "web.log"

    @property
    def supervisor(self) -> int:
        return self.stack.processes["web"].pid

    @property
    def workers(self) -> list[int]:
        """The web worker processes' ids."""
        return children(self.supervisor)

    @property
    def worker(self) -> int:
        return self.workers[0]

    def start(self, *, limit: float = 0) -> float:
        return self.stack.start()

    def stop(self, *, limit: float = 0) -> int:
        self.stack.stop()
        return 0

    def running(self) -> bool:
        return bool(self.stack.processes) and self.stack.processes["web"].runs()


def children(pid: int) -> list[int]:
    """Ids of the direct children of a process, whichever of its threads started them (Elasticsearch's do)."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):
            found += [int(child) for child in path.read_text().split()]
    return found


def lives(pid: int) -> bool:
    """Whether it runs; what has ended and was not reaped yet does not."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def freeze(pid: int) -> None:
    """SIGSTOP a process and all below it. Returns once no thread of them moves: on a busy machine the one that is to
    take the signal may wait for its turn, while others go on answering."""
    frozen = [pid, *below(pid)]
    for one in frozen:
        os.kill(one, signal.SIGSTOP)
    eventually(lambda: all(stands(one) for one in frozen))


def stands(pid: int) -> bool:
    """Whether every thread of a process has been stopped, or has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        threads = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
        return all(thread.rpartition(")")[2].split()[0] in "TZ" for thread in threads)
    return True


def thaw(pid: int) -> None:
    """Let them go on; nothing where none stands."""
    for one in [pid, *below(pid)]:
        os.kill(one, signal.SIGCONT)


def below(pid: int) -> list[int]:
    """Ids of all processes below one."""
    found = children(pid)
    return found + [one for child in found for one in below(child)]


@contextmanager
def running_services(folder: Path, **options: Any) -> Iterator[Services]:
    """A started stack, ended at the end; skips, naming what is missing, where a server cannot be had."""
    services = Services(folder, **options)
    try:
        services.start()
    except ServerMissing as missing:
        pytest.skip(str(missing))
    try:
        yield services
    finally:
        services.stop()
        discard(folder)
