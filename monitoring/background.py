"""Threads of our own: started and stopped by name, and never left with a dead database connection."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

logger = logging.getLogger(__name__)

#: Seconds until work that failed is tried again, and between two tellings of the same failure.
AGAIN_S = 1.0
TELL_EVERY_S = 30.0


@dataclass(frozen=True, slots=True)
class Beat:
    """How one thread of this process does: seconds since its work last succeeded, and how often it should."""

    name: str
    interval: float
    silent_s: float
    error: str


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
        self._succeeded_at = time.monotonic()
        self._error = ""
        self._told_at = 0.0

    def start(self) -> None:
        self._succeeded_at = time.monotonic()
        _tickers[self.name] = self
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def wake(self) -> None:
        self._wake.set()

    def stop(self, timeout: float) -> None:
        self._ended = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout)
        if _tickers.get(self.name) is self:
            del _tickers[self.name]

    def beat(self) -> Beat:
        return Beat(self.name, self._interval, time.monotonic() - self._succeeded_at, self._error)

    def _run(self) -> None:
        while not self._ended:
            try:
                with fresh_connection():
                    self._work()
                self._succeeded_at, self._error = time.monotonic(), ""
            except Exception as error:
                self._failed(error)
            # What failed is tried again soon: a rare task would else be called silent long after an outage's end.
            self._wake.wait(min(self._interval, AGAIN_S) if self._error else self._interval)
            self._wake.clear()

    def _failed(self, error: Exception) -> None:
        """Told when it begins, when it changes, and every half minute: an outage is many quick failures."""
        now, kind = time.monotonic(), type(error).__name__
        if not self._error.startswith(f"{kind}:") or now - self._told_at > TELL_EVERY_S:
            self._told_at = now
            logger.exception("%s failed; it tries again", self.name, extra={"action": "background_failed"})
        self._error = f"{kind}: {error}"


_tickers: dict[str, Ticker] = {}


def beats() -> dict[str, Beat]:
    """The tickers that run in this process, by name: what health asks."""
    return {name: ticker.beat() for name, ticker in list(_tickers.items())}
