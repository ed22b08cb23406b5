"""kombu's memory transport, woken by a message instead of polling for one: a hand-over takes about a millisecond."""

from __future__ import annotations

import threading
import time
from queue import Empty
from typing import Any

from kombu.transport import memory


class _Arrivals:
    """Counts what may let a consumer go on: a message put, or one acknowledged (which frees its prefetch)."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.count = 0
        #: Set while workers are to stop: nobody waits for a message any more.
        self.closed = False

    def add(self) -> None:
        with self._changed:
            self.count += 1
            self._changed.notify_all()

    def wait(self, seen: int, timeout: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self.count != seen or self.closed, timeout)

    def close(self, closed: bool) -> None:
        with self._changed:
            self.closed = closed
            self._changed.notify_all()


ARRIVALS = _Arrivals()


class Channel(memory.Channel):
    def _put(self, queue: str, message: Any, **kwargs: Any) -> None:
        super()._put(queue, message, **kwargs)
        ARRIVALS.add()

    def basic_ack(self, delivery_tag: Any, multiple: bool = False) -> None:
        super().basic_ack(delivery_tag, multiple=multiple)
        ARRIVALS.add()

    def basic_reject(self, delivery_tag: Any, requeue: bool = False) -> None:
        super().basic_reject(delivery_tag, requeue=requeue)
        ARRIVALS.add()


class Transport(memory.Transport):
    Channel = Channel
    #: Longest sleep without looking, seconds: a guard, nothing relies on it.
    longest_wait = 1.0

    def drain_events(self, connection: Any, timeout: float | None = None, **_: Any) -> None:
        """Deliver one message; raises `TimeoutError` (socket.timeout) when none came within `timeout` seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            seen = ARRIVALS.count
            try:
                self.cycle.get(self._deliver, timeout=timeout)  # type: ignore[union-attr]
                return
            except Empty:
                left = self.longest_wait if end is None else min(self.longest_wait, end - time.monotonic())
            if left <= 0 or ARRIVALS.closed:
                raise TimeoutError
            ARRIVALS.wait(seen, left)
