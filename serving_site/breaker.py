"""A breaker: after a few failures in a row nobody asks for a moment, then one tries for all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Breaker:
    """Closed until `failures` in a row; then open for `pause_s` seconds, after which one caller may try."""

    def __init__(self, *, failures: int = 3, pause_s: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = failures
        self._pause_s = pause_s
        self._clock = clock
        self._lock = threading.Lock()
        self._failed = 0
        self._open_until = 0.0

    def admits(self) -> bool:
        """May this caller try? When the pause is over, one caller in each further pause may."""
        if self._failed < self._most:
            return True
        with self._lock:
            now = self._clock()
            if now < self._open_until:
                return False
            # Whoever is admitted now tries for all others; if it never reports, the next may after a pause.
            self._open_until = now + self._pause_s
            return True

    def succeeded(self) -> bool:
        """The call went through; True when that ended an outage."""
        if not self._failed:
            return False
        with self._lock:
            was_open, self._failed = self._failed >= self._most, 0
            return was_open

    def failed(self) -> bool:
        """The call failed; True when that began an outage."""
        with self._lock:
            self._failed += 1
            if self._failed >= self._most:
                self._open_until = self._clock() + self._pause_s
            return self._failed == self._most
