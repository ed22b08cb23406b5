"""Background work gives way, for as long as that may be: to requests of its own process, whose interpreter it shares,
and to everything else of a machine that is short of processors."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from monitoring import spooling

T = TypeVar("T")

#: Online calls a second from which on a process is busy.
BUSY_PER_S = 200.0
#: What background work may take of a busy process's time.
SHARE = 0.1
#: Longest pause in a row, in seconds: what waits is looked at again.
MOST_PAUSE_S = 0.5
#: Records that a busy process writes at once: more would hold its interpreter for too long.
BUSY_RECORDS = 20
#: The same share and pause on a machine where others wait for a processor: what is moved costs others (the database,
#: the record store) several times as much as the thread that moves it.
CROWDED_SHARE, CROWDED_PAUSE_S = 0.025, 2.0
#: A machine is short of processors when a thread waits for one for longer than so many times what it then computes.
CROWDED = 1.0
#: What the spool, or what is owed, may be filled to before the recorder stops giving way.
FILLED = 0.5


@dataclass(frozen=True, slots=True)
class Load:
    """What is looked at: calls answered by this process so far, and how full its spool is (0 to 1)."""

    answered: Callable[[], int]
    filled: Callable[[], float]


class Courtesy(Protocol):
    """How a recorder gives way; all of it is asked in the recorder's thread."""

    def batch(self, most: int) -> int:
        """How many records of at most `most` the next piece of work may have."""
        ...

    def pause_after(self, cpu_s: float) -> float:
        """Seconds to pause after a piece of work that took so much CPU time."""
        ...

    def hurries(self) -> bool:
        """Whether there is nobody to give way to now: then more than one piece may be under way at the same time."""
        ...

    def read(self, work: Callable[..., T], *args: Any) -> T:
        """Do the part of a piece that holds no lock which others want."""
        return work(*args)

    def write(self, work: Callable[..., T], *args: Any) -> T:
        """Do the part that may hold one."""
        return work(*args)


class TowardsCalls(Courtesy):
    """Says how long to pause after a piece of work: nine times its CPU time while the process is busy, else not."""

    def __init__(self, load: Load, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._load = load
        self._clock = clock
        self._looked_at = clock()
        self._answered = load.answered()
        self.is_busy = False

    def batch(self, most: int) -> int:
        return min(most, BUSY_RECORDS) if self.look() else most

    def look(self) -> bool:
        """Whether the process has been busy since the last look, and there is room to give way."""
        now, answered = self._clock(), self._load.answered()
        elapsed = now - self._looked_at
        if elapsed >= 0.01:
            per_s = (answered - self._answered) / elapsed
            self.is_busy = per_s >= BUSY_PER_S and self._load.filled() < FILLED
            self._looked_at, self._answered = now, answered
        return self.is_busy

    def hurries(self) -> bool:
        return not self.is_busy

    def pause_after(self, cpu_s: float) -> float:
        """Seconds to pause after work that took so much CPU time."""
        return min(MOST_PAUSE_S, cpu_s * (1 - SHARE) / SHARE) if self.is_busy else 0.0


class TowardsOthers(Courtesy):
    """Pauses while this thread has to wait for a processor. `filled` is how much waits, of what may (0 to 1)."""

    def __init__(self, filled: Callable[[], float], *, waited_s: Callable[[], float] | None = None) -> None:
        self._filled = filled
        self._waited_s = waited_s or _waited_s
        self._before_s = 0.0
        self._hurries = True

    def batch(self, most: int) -> int:
        self._before_s = self._waited_s()
        return most

    def hurries(self) -> bool:
        return self._hurries

    def pause_after(self, cpu_s: float) -> float:
        is_crowded = self._waited_s() - self._before_s > CROWDED * cpu_s
        self._hurries = not is_crowded or self._filled() >= FILLED
        if self._hurries:
            return 0.0
        return min(CROWDED_PAUSE_S, cpu_s * (1 - CROWDED_SHARE) / CROWDED_SHARE)


def _waited_s() -> float:
    """Seconds that this thread was ready to run and did not (the kernel's schedstat); 0 where no kernel says it."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_bytes().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


def towards_calls() -> Courtesy:
    """Courtesy towards the online calls of this process; where none are answered, there is none to give."""
    return TowardsCalls(Load(spooling.appended, spooling.filled))
