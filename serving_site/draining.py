"""The end of a server process: what runs is waited for, a client that has stopped talking is not.

Granian's own drain waits for every connection with a request begun, also for one whose client never sends the rest of
it. So the requests that run are counted here: inside the application, and not waiting for their body.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from threading import get_ident
from typing import Any

#: Seconds without a running request after which those that have not arrived whole are given up, and answers have left.
QUIET_S = 1.0
_LOOK_S = 0.05

_running: set[int] = set()

#: A request begins, or goes on, in this thread; it has ended, or waits for its client.
enter: Callable[[int], None] = _running.add
leave: Callable[[int], None] = _running.discard


class Body:
    """The body of a request as the server hands it over; while its client is waited for, the request does not run."""

    __slots__ = ("_source", "octets")

    def __init__(self, source: Any) -> None:
        self._source = source
        self.octets = 0

    def read(self, size: int = -1) -> bytes:
        # As `_waiting` does it: every call of the lane comes here.
        thread = get_ident()
        leave(thread)
        try:
            found: bytes = self._source.read() if size < 0 else self._source.read(size)
        finally:
            enter(thread)
        self.octets += len(found)
        return found

    def readline(self, size: int = -1) -> bytes:
        return bytes(self._waiting(self._source.readline, size))

    def readlines(self, hint: int = -1) -> list[bytes]:
        return list(self._waiting(self._source.readlines, hint))

    def __iter__(self) -> Any:
        return iter(self.readline, b"")

    def _waiting(self, read: Callable[[int], Any], size: int) -> Any:
        thread = get_ident()
        leave(thread)
        try:
            found = read(size)
        finally:
            enter(thread)
        self.octets += len(found)
        return found


def end_when_quiet(stop: Callable[[], None]) -> None:
    """From the main thread, before the server's handlers are set: once a signal has asked for the end and nothing
    runs any more, `stop` what runs beside the requests and end the process, whoever is still connected."""
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    threading.Thread(target=_end_when_quiet, args=(told, stop), name="drain", daemon=True).start()


def _end_when_quiet(told: int, stop: Callable[[], None]) -> None:
    while os.read(told, 1)[0] != signal.SIGTERM:
        pass
    quiet_since = time.monotonic()
    while time.monotonic() < quiet_since + QUIET_S:
        time.sleep(_LOOK_S)
        if _running:
            quiet_since = time.monotonic()
    stop()
    os._exit(0)
