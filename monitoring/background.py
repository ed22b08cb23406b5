"""Threads of our own: started and stopped by name, and never left with a dead database connection."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

logger = logging.getLogger(__name__)


@contextmanager
def fresh_connection() -> Iterator[None]:
    """Close connections that died before and after one unit of work.

    Django does this around requests only; a long-lived thread without it stays broken after a database restart.
    """
    from django.db import close_old_connections

    close_old_connections()
    try:
        yield
    finally:
        close_old_connections()


class Background(Protocol):
    """Something that runs beside the requests; `start` once, `stop` waits at most `timeout` seconds."""

    name: str

    def start(self) -> None: ...

    def stop(self, timeout: float) -> None: ...


class Ticker:
    """Runs `work` every `interval` seconds, and at once after `wake()`; a failure is logged and the next tick comes."""

    def __init__(self, name: str, interval: float, work: Callable[[], object]) -> None:
        self.name = name
        self._interval = interval
        self._work = work
        self._wake = threading.Event()
        self._ended = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def wake(self) -> None:
        self._wake.set()

    def stop(self, timeout: float) -> None:
        self._ended = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._ended:
            try:
                with fresh_connection():
                    self._work()
            except Exception:
                logger.exception("%s failed; it tries again", self.name, extra={"action": "background_failed"})
            self._wake.wait(self._interval)
            self._wake.clear()
