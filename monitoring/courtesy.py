"""Background work that shares its interpreter with requests gives way to them, for as long as that may be."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from monitoring import spooling

#: Online calls a second from which on a process is busy.
BUSY_PER_S = 200.0
#: What background work may take of a busy process's time.
SHARE = 0.1
#: Longest pause in a row, in seconds: what waits is looked at again.
MOST_PAUSE_S = 0.5
#: What the spool may be filled to before its recorder stops giving way.
FILLED = 0.5


@dataclass(frozen=True, slots=True)
class Load:
    """What is looked at: calls answered by this process so far, and how full its spool is (0 to 1)."""

    answered: Callable[[], int]
    filled: Callable[[], float]


class Courtesy:
    """Says how long to pause after a piece of work: nine times its CPU time while the process is busy, else not."""

    def __init__(self, load: Load, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._load = load
        self._clock = clock
        self._looked_at = clock()
        self._answered = load.answered()
        self.is_busy = False

    def look(self) -> bool:
        """Whether the process has been busy since the last look, and there is room to give way."""
        now, answered = self._clock(), self._load.answered()
        elapsed = now - self._looked_at
        if elapsed >= 0.01:
            per_s = (answered - self._answered) / elapsed
            self.is_busy = per_s >= BUSY_PER_S and self._load.filled() < FILLED
            self._looked_at, self._answered = now, answered
        return self.is_busy

    def pause_after(self, cpu_s: float) -> float:
        """Seconds to pause after work that took so much CPU time."""
        return min(MOST_PAUSE_S, cpu_s * (1 - SHARE) / SHARE) if self.is_busy else 0.0


def towards_calls() -> Courtesy:
    """Courtesy towards the online calls of this process; where none are answered, there is none to give."""
    return Courtesy(Load(spooling.appended, spooling.filled))
