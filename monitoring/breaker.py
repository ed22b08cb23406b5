"""A breaker: after a few failures in a row nobody asks for a moment, then one tries for all.

One class for everything that may fail for a while: PostgreSQL, Redis, RabbitMQ, Elasticsearch, and every version of a
model. No framework and no thread of its own. Who calls asks `admits()` first and tells afterwards how it went; where a
prober asks in the background (`monitoring.probing`), callers never try: they are told no until it has an answer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from enum import Enum


class Circuit(Enum):
    """What a breaker does with callers; the value is what the metric shows."""

    CLOSED = 0.0  # everybody may call
    TRYING = 0.5  # one caller tries for all
    OPEN = 1.0  # nobody may call


class Breaker:
    """Closed until `failures` in a row; then open for `pause_s` seconds, after which one caller may try.

    `probed`: no caller may try; it stays open until `succeeded()` is told by whoever asks in the background. Each
    failure of a caller who tried doubles the pause, up to `longest_pause_s` (absent: it stays as it is).
    """

    def __init__(
        self,
        *,
        failures: int = 3,
        pause_s: float = 1.0,
        longest_pause_s: float | None = None,
        probed: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = failures
        self._pause_s = pause_s
        self._longest_pause_s = longest_pause_s or pause_s
        self._clock = clock
        self._lock = threading.Lock()
        self._failed = 0
        self._open_until = 0.0
        self._is_tried = False
        self.probed = probed

    def admits(self) -> bool:
        """May this caller try? When the pause is over, one caller in each further pause may."""
        if self._failed < self._most:
            return True
        if self.probed:
            return False
        with self._lock:
            now = self._clock()
            if now < self._open_until:
                return False
            # Whoever is admitted now tries for all others; if it never reports, the next may after a pause.
            self._open_until = now + self._pause_s
            self._is_tried = True
            return True

    def succeeded(self) -> bool:
        """The call went through; True when that ended an outage."""
        if not self._failed:
            return False
        with self._lock:
            was_open, self._failed, self._is_tried = self._failed >= self._most, 0, False
            return was_open

    def failed(self) -> bool:
        """The call failed; True when that began an outage."""
        with self._lock:
            self._failed += 1
            self._is_tried = False
            if self._failed >= self._most:
                pause_s = self._pause_s * 2 ** min(self._failed - self._most, 30)
                self._open_until = self._clock() + min(pause_s, self._longest_pause_s)
            return self._failed == self._most

    def circuit(self) -> Circuit:
        """What it does with callers now."""
        if self._failed < self._most:
            return Circuit.CLOSED
        return Circuit.TRYING if self._is_tried else Circuit.OPEN

    def retry_after(self) -> float:
        """Seconds until somebody may try again, 0 while closed: what a refusal tells its caller."""
        return max(0.0, self._open_until - self._clock()) if self._failed >= self._most else 0.0
