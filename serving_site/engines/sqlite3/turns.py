"""Turns at a database that has one writer. SQLite's own lock is polled, with pauses that grow to 0.1 s, and unfairly:
beside a thread that writes much, others wait many times longer than it writes. The threads of a process queue here.
"""

from __future__ import annotations

import threading
from collections import deque

#: Seconds a writer waits for its turn; beyond it the database counts as locked.
WAIT_S = 5.0


class Turns:
    """A lock that is had in the order of asking."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_taken = False
        self._waiting: deque[threading.Lock] = deque()

    def take(self, timeout: float) -> bool:
        """Wait for the turn; False when it did not come within `timeout` seconds."""
        with self._lock:
            if not self._is_taken:
                self._is_taken = True
                return True
            mine = threading.Lock()
            mine.acquire()
            self._waiting.append(mine)
        if mine.acquire(timeout=timeout):
            return True
        with self._lock:
            if mine in self._waiting:
                self._waiting.remove(mine)
                return False
        return True  # it came between the time-out and this lock

    def leave(self) -> None:
        """Hand the turn to whoever has waited longest."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._is_taken = False


_lock = threading.Lock()
_by_file: dict[str, Turns] = {}


def at(file: str) -> Turns:
    """The turns at one database file."""
    with _lock:
        return _by_file.setdefault(file, Turns())
