"""Work that takes only time that nobody else wants: a thread of the scheduling class for that (SCHED_IDLE, Linux)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from monitoring.background import fresh_connection
from monitoring.courtesy import FILLED, Courtesy

T = TypeVar("T")

#: Records of a piece: more would hold the database for too long where a core gets busy meanwhile.
PIECE = 25
#: Work that took so many times its processor time had to wait for others.
STARVED = 20
#: Below so many seconds that says nothing.
LEAST_S = 0.02


class IdleTime(Courtesy):
    """Gives way by never being in the way, until the spool is half full.

    Whoever wakes takes the core from a thread of this class at once; a busy core gives it next to nothing. So work
    that holds a lock others want is not begun there when the work before it has starved: it is done at once instead.
    """

    def __init__(self, filled: Callable[[], float]) -> None:
        self._filled = filled
        self._idle = ThreadPoolExecutor(1, "idle", initializer=_take_idle_time_only)
        self._gives_way = True
        self.is_starved = False

    def batch(self, most: int) -> int:
        self._gives_way = self._filled() < FILLED
        return min(most, PIECE) if self._gives_way else most

    def read(self, work: Callable[..., T], *args: Any) -> T:
        begun = time.monotonic()
        done, cpu_s = self._do(work, *args)
        self.is_starved = time.monotonic() - begun > max(LEAST_S, STARVED * cpu_s)
        return done

    def write(self, work: Callable[..., T], *args: Any) -> T:
        return work(*args) if self.is_starved else self._do(work, *args)[0]

    def hurries(self) -> bool:
        return not self._gives_way

    def pause_after(self, cpu_s: float) -> float:
        return 0.0

    def _do(self, work: Callable[..., T], *args: Any) -> tuple[T, float]:
        if not self._gives_way:
            return _timed(work, *args)
        return self._idle.submit(_timed, work, *args).result()


def exists() -> bool:
    """Whether this system has such a class."""
    return hasattr(os, "SCHED_IDLE")


def _take_idle_time_only() -> None:
    try:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    except OSError:  # a container may forbid it; being nice to others is never forbidden
        os.nice(19)


def _timed(work: Callable[..., T], *args: Any) -> tuple[T, float]:
    begun = time.thread_time()
    with fresh_connection():
        done = work(*args)
    return done, time.thread_time() - begun
