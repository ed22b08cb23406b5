"""What happens to servers and processes, each bounded in time; every one leaves things running again."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from tests.chaos.services.scene import Scene
from tests.services import children, freeze, thaw

#: What POST /v1/predictions owes its clients meanwhile: to accept, to refuse in time, or nothing (it was killed).
ACCEPTS, REFUSES, SURVIVES = "accepts", "refuses", "survives"
PROCESS_BACK_S = 45.0


@dataclass(frozen=True, slots=True)
class Fault:
    """`what` happens to `victim` for `hold_s` seconds; a process that was killed is started again by the stack."""

    victim: str
    what: str
    hold_s: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.victim} {self.what}" + (f" {self.hold_s:g} s" if self.hold_s else "")

    @property
    def owes(self) -> str:
        if self.victim == "PostgreSQL":
            return REFUSES
        return SURVIVES if self.victim.startswith("web") else ACCEPTS


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault as it happened, in monotonic seconds: it held from `begun` to `ended`, and was over at `mended`."""

    fault: Fault
    begun: float
    ended: float
    mended: float


SERVERS = {
    "PostgreSQL": ("postgres",),
    "RabbitMQ": ("rabbitmq",),
    "Redis": ("redis-cache", "redis-results"),
    "Elasticsearch": ("elasticsearch",),
}


def strike(scene: Scene, fault: Fault) -> Struck:
    """Let it happen and wait until its victim runs again."""
    begun = time.monotonic()
    ended = _strike_servers(scene, fault) if fault.victim in SERVERS else _strike_process(scene, fault)
    return Struck(fault, begun, ended, time.monotonic())


def _strike_servers(scene: Scene, fault: Fault) -> float:
    names = SERVERS[fault.victim]
    pids = [scene.arena.servers[name].pid for name in names]
    if fault.what == "frozen":
        with frozen(*pids):
            time.sleep(fault.hold_s)
        return time.monotonic()
    for pid in pids:
        DOWN[fault.what](pid)
    time.sleep(fault.hold_s)
    for name in names:
        _until(lambda port=scene.arena.servers[name].port: not _answers(port))  # type: ignore[misc]
        scene.arena.start_again(name)
    return time.monotonic()


def _strike_process(scene: Scene, fault: Fault) -> float:
    if fault.victim == "web process":
        (victim, *_) = children(scene.processes["web"].pid)
        os.kill(victim, signal.SIGKILL)
        ended = time.monotonic()
        _until(lambda: victim not in (now := children(scene.processes["web"].pid)) and len(now) > 1)
        return ended
    process = scene.processes[fault.victim]
    victim = process.pid
    if fault.what == "frozen":
        with frozen(victim):
            time.sleep(fault.hold_s)
        return time.monotonic()
    os.kill(victim, signal.SIGKILL)
    ended = time.monotonic()
    _until(lambda: process.runs() and process.pid not in (0, victim))
    return ended


@contextmanager
def frozen(*pids: int) -> Iterator[None]:
    """SIGSTOP for as long as the block runs, SIGCONT in any case."""
    try:
        for pid in pids:
            freeze(pid)
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                thaw(pid)


def kill_all(pid: int) -> None:
    """kill -9 of a process and all below it, from the top."""
    victims = [pid]
    for victim in victims:
        victims += children(victim)
    for victim in victims:
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)


def shut_down(pid: int) -> None:
    """PostgreSQL's fast shutdown: sessions are ended, then the server."""
    os.kill(pid, signal.SIGINT)


DOWN: dict[str, Callable[[int], None]] = {"killed": kill_all, "down": kill_all, "restarted": shut_down}


def _answers(port: int) -> bool:
    """Does anybody listen there still? What was killed holds its port until the kernel is done with it."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + PROCESS_BACK_S
    while not is_so():
        assert time.monotonic() < end, f"not there again within {PROCESS_BACK_S:g} s"
        time.sleep(0.1)
