"""The figures behind one page, gathered once and kept for a few seconds, so that many who look cost as much as one."""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from monitoring import stores
from monitoring.pages import history
from monitoring.pages.asked import Asked
from monitoring.pages.history import History
from monitoring.pages.sheet import Axis
from monitoring.records import Record
from monitoring.stores.base import Count, StoreUnavailable
from monitoring.stores.timeline import Timeline

logger = logging.getLogger(__name__)

#: Records of a list at the end of a page.
MOST_RECORDS = 12
#: Seconds a page waits for its turn to ask the record store.
PATIENCE_S = 10.0
AWAY = "The record store does not answer, so charts of records are empty; nothing is lost, and this page tries again."
UNTOLD = "The record store does not answer."
NO_PROJECT = "There is no project yet. Publish a model to begin."


class Seen:
    """What was asked for, read when a page wants it. What the record store cannot tell is None, and `notes` say so."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.axis = Axis(tuple(asked.starts()), asked.period.seconds)
        self.notes: list[str] = [] if asked.project else [NO_PROJECT]

    @functools.cached_property
    def history(self) -> History:
        return history.read(self.axis, lasting=self.asked.period.lasting)

    def timeline(self, *, before: bool = False, outputs: bool = False, **conditions: Any) -> Timeline | None:
        """How the records of this time went, or of the time before; with further fields of the query."""
        length = self.asked.until - self.asked.since
        start = self.asked.since - (length if before else timedelta())
        query = replace(self.asked.query(), **conditions)
        read = functools.partial(
            stores.open_store().timeline,
            query,
            start=start,
            end=start + length,
            buckets=self.asked.period.stretches,
            outputs=outputs,
        )
        found: Timeline | None = self._ask(("timeline", query, start, length, outputs), read)
        return found

    def counts(self) -> list[Count]:
        """Numbers by model, version and status in each stretch."""
        query = replace(self.asked.query(), since=self.asked.since, until=self.asked.until)
        seconds = self.asked.period.seconds
        found: list[Count] | None = self._ask(
            ("counts", query, seconds), lambda: stores.open_store().counts(query, seconds=seconds)
        )
        return found or []

    def records(self, **conditions: Any) -> tuple[Record, ...]:
        """The newest records of this time that meet these conditions."""
        query = replace(
            self.asked.query(), since=self.asked.since, until=self.asked.until, limit=MOST_RECORDS, **conditions
        )
        found: tuple[Record, ...] | None = self._ask(
            ("records", query), lambda: stores.open_store().search(query).records
        )
        return found or ()

    def or_away(self, words: str) -> str:
        """What stands in an empty chart of records that were asked for: these words, or that the store was away."""
        return UNTOLD if AWAY in self.notes else words

    def step(self, moment: datetime) -> int | None:
        return self.axis.index(moment)

    def _ask(self, wanted: tuple[Any, ...], read: Callable[[], Any]) -> Any:
        """The store's answer, remembered for half the time until the page asks again; None without one."""
        if not self.asked.project or AWAY in self.notes:
            return None
        try:
            return REMEMBERED.get(repr(wanted), read, keep_s=self.asked.period.refresh_s / 2)
        except StoreUnavailable as error:
            logger.warning("the record store gave no figures: %s", error, extra={"action": "figures_failed"})
            self.notes.append(AWAY)
            return None


class Remembered:
    """A few answers for a few seconds, in this process; at most two are being read, however many people look."""

    def __init__(self, most: int = 64) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._reading = threading.BoundedSemaphore(2)
        self._known: dict[str, tuple[float, Any]] = {}

    def get(self, key: str, read: Callable[[], Any], *, keep_s: float) -> Any:
        """What is remembered under `key`, or what `read` says now. Raises `StoreUnavailable` after a long wait."""
        if (found := self._find(key)) is not None:
            return found
        if not self._reading.acquire(timeout=PATIENCE_S):
            raise StoreUnavailable("others are still reading")
        try:
            # Whoever held the turn before may have read the same.
            if (found := self._find(key)) is None:
                self._keep(key, found := read(), keep_s)
        finally:
            self._reading.release()
        return found

    def _find(self, key: str) -> Any:
        with self._lock:
            until, found = self._known.get(key, (0.0, None))
        return found if time.monotonic() < until else None

    def _keep(self, key: str, found: Any, keep_s: float) -> None:
        with self._lock:
            self._known.pop(key, None)
            while len(self._known) >= self._most:
                del self._known[next(iter(self._known))]
            self._known[key] = time.monotonic() + keep_s, found

    def clear(self) -> None:
        with self._lock:
            self._known.clear()


REMEMBERED = Remembered()
