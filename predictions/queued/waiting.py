"""Requests that wait for their prediction: woken when it ends, and asked for together when no wake-up comes.

A waiter registers before the row is inserted, so no ending is missed. Wake-ups may be lost; the shared query may
not: one SELECT every 250 ms for all ids that wait longer than that.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol
from uuid import UUID

from django.conf import settings
from django.utils.module_loading import import_string

from monitoring.background import Background
from predictions.queued import results
from predictions.shifts import SHIFTS

#: Seconds between two shared queries, and how long an id waits before it is asked for.
ASK_EVERY_S = 0.25
NOTHING: Mapping[str, Any] = {}
#: Told what has ended and, where that came along, its entry for the cache of results.
Hear = Callable[[UUID, Any], None]


class WakeUps(Protocol):
    """How the end of a prediction reaches the process whose request waits for it. May lose some, never blocks long."""

    def send(self, ids: Iterable[UUID], hot: Mapping[str, Any] = NOTHING) -> None:
        """These have ended; `hot` are entries for the cache of results, which whoever wakes up finds there."""
        ...

    def listen(self, hear: Hear) -> None: ...

    def background(self) -> list[Background]:
        """What has to run in a process whose requests wait."""
        ...


class InProcess:
    """Wake-ups within one process: who ends a prediction calls who waits for it."""

    def __init__(self) -> None:
        self._hear: list[Hear] = []

    def listen(self, hear: Hear) -> None:
        self._hear.append(hear)

    def send(self, ids: Iterable[UUID], hot: Mapping[str, Any] = NOTHING) -> None:
        results.put(hot)
        for identifier in ids:
            entry = hot.get(results.key_of(identifier))
            for hear in self._hear:
                hear(identifier, entry)

    def background(self) -> list[Background]:
        return []


class Waiter:
    """One waiting request. `entry` is what the cache of results keeps of its prediction, where that came along."""

    __slots__ = ("_event", "entry", "id", "since")

    def __init__(self, identifier: UUID) -> None:
        self.id = identifier
        self.since = time.monotonic()
        self.entry: Any = None
        self._event = threading.Event()

    def wake(self, entry: Any = None) -> None:
        self.entry = entry
        self._event.set()

    def wait(self, timeout: float) -> bool:
        """True when the prediction has ended, False when `timeout` seconds have passed."""
        SHIFTS.wait()
        return self._event.wait(max(0.0, timeout))


class Waiters:
    """All waiting requests of this process, at most `places` of them."""

    def __init__(self, places: int) -> None:
        self._places = threading.BoundedSemaphore(places)
        self._lock = threading.Lock()
        self._by_id: dict[UUID, list[Waiter]] = {}

    @contextmanager
    def place(self, identifier: UUID) -> Iterator[Waiter | None]:
        """A place to wait in, or None when all are taken: the caller then answers with the unfinished prediction."""
        if not self._places.acquire(blocking=False):
            yield None
            return
        waiter = Waiter(identifier)
        try:
            self.add(waiter)
            yield waiter
        finally:
            self.remove(waiter)
            self._places.release()

    def add(self, waiter: Waiter) -> None:
        with self._lock:
            self._by_id.setdefault(waiter.id, []).append(waiter)

    def remove(self, waiter: Waiter) -> None:
        with self._lock:
            others = [one for one in self._by_id.get(waiter.id, []) if one is not waiter]
            if others:
                self._by_id[waiter.id] = others
            else:
                self._by_id.pop(waiter.id, None)

    def move(self, waiter: Waiter, identifier: UUID) -> None:
        """A repeated key: the request waits for the earlier prediction instead of its own."""
        self.remove(waiter)
        waiter.id = identifier
        self.add(waiter)

    def wake(self, identifier: UUID, entry: Any = None) -> None:
        with self._lock:
            found = list(self._by_id.get(identifier, ()))
        for waiter in found:
            waiter.wake(entry)

    def waiting_longer(self, seconds: float) -> list[UUID]:
        before = time.monotonic() - seconds
        with self._lock:
            return [identifier for identifier, found in self._by_id.items() if any(one.since < before for one in found)]

    def ask(self) -> None:
        """The shared query: wake whoever waits for something that has ended."""
        from predictions.models import Prediction

        ids = self.waiting_longer(ASK_EVERY_S)
        if ids:
            open_ones = (Prediction.Status.STARTING, Prediction.Status.PROCESSING)
            for identifier in (
                Prediction.objects.filter(id__in=ids).exclude(status__in=open_ones).values_list("id", flat=True)
            ):
                self.wake(identifier)


WAKE_UPS: WakeUps = import_string(settings.WAKE_UPS)()
WAITERS = Waiters(max(1, settings.SERVING["BLOCKING_THREADS"] // 4))
WAKE_UPS.listen(WAITERS.wake)
