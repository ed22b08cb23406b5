"""The keeper's part: moves log lines from the spool and from followed files into the log store."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from django.conf import settings

from monitoring import metrics
from monitoring.background import Background, Ticker, fresh_connection
from monitoring.logs import following
from monitoring.logs.lines import LogLine, line_of
from monitoring.logs.stores import open_log_store
from monitoring.logs.stores.base import LogStore, Outcome
from monitoring.spool import Depth, Reader, Token, depth
from monitoring.stores.base import StoreUnavailable

logger = logging.getLogger(__name__)

BATCH_LINES = 500
BATCH_BYTES = 2_000_000
INTERVAL_S = 1.0
#: One round ends after this long even when more waits, so that a stopping process is not held up.
ROUND_S = 5.0
#: Seconds that the end of a process may wait for its last lines to be taken.
LAST_ROUND_S = 2.0
#: Waits after the first, second, … batch in a row that the store did not take.
BACK_OFF_S = (1.0, 2.0, 5.0, 10.0)


class Source(Protocol):
    """Where lines wait; unmarked ones come again."""

    name: str

    def batch(self, limit: int) -> list[tuple[Any, LogLine]]: ...

    def mark(self, tokens: Iterable[Any]) -> None: ...

    def close(self) -> None: ...


class SpooledLines:
    """The lines of every process of this host."""

    name = "log spool"

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def batch(self, limit: int) -> list[tuple[Token, LogLine]]:
        found: list[tuple[Token, LogLine]] = []
        unreadable: list[Token] = []
        for token, payload in self._reader.batch(calls=limit, octets=BATCH_BYTES):
            try:
                fields = json.loads(payload)
                seed = hashlib.blake2b(payload, key=f"{token.segment}:{token.end}".encode()[-64:]).digest()
                found.append((token, line_of(fields, seed=seed)))
            except (ValueError, TypeError):
                unreadable.append(token)
        if unreadable:
            metrics.count(metrics.LOG_LINES, ("rejected",), len(unreadable))
            self._reader.mark(unreadable)
        return found

    def mark(self, tokens: Iterable[Token]) -> None:
        self._reader.mark(tokens)

    def close(self) -> None:
        self._reader.close()


class Shipper:
    """Works the sources off in turn; `round` runs in one thread at a time."""

    def __init__(self, store: LogStore, sources: Sequence[Source]) -> None:
        self._store = store
        self._sources = sources
        self._failures = 0
        self._wait_until = 0.0

    def round(self) -> int:
        """Move what waits until nothing does, the store refuses, or 5 s are over; returns how many lines moved."""
        moved, ends = 0, time.monotonic() + ROUND_S
        if time.monotonic() < self._wait_until:
            return 0
        for source in self._sources:
            while time.monotonic() < ends:
                batch = source.batch(BATCH_LINES)
                if not batch:
                    break
                marked = self._move(source, batch)
                moved += marked
                if marked < len(batch):
                    return moved
        return moved

    def _move(self, source: Source, batch: Sequence[tuple[Any, LogLine]]) -> int:
        try:
            outcomes = self._store.add([line for _, line in batch])
        except StoreUnavailable as error:
            wait = self._put_off()
            logger.warning(
                "the log store is unavailable, lines wait in %s (again in %.0f s): %s",
                source.name,
                wait,
                error,
                extra={"action": "log_store_unavailable"},
            )
            return 0
        judged = list(zip(batch, outcomes, strict=True))
        settled = [token for (token, _), outcome in judged if outcome is not Outcome.RETRY]
        source.mark(settled)
        for outcome in set(outcomes) - {Outcome.RETRY}:
            metrics.count(metrics.LOG_LINES, (outcome.value,), outcomes.count(outcome))
        if len(settled) < len(batch):
            self._put_off()
        else:
            self._failures = 0
        return len(settled)

    def _put_off(self) -> float:
        wait = BACK_OFF_S[min(self._failures, len(BACK_OFF_S) - 1)]
        self._failures += 1
        self._wait_until = time.monotonic() + wait
        return wait


class ShippingThread:
    """A shipper in a thread of its own: a round every second, and a last one at the end.

    As a last resort it only watches, and begins when lines have waited for `patience_s` seconds: on a host without a
    keeper some process has to ship what all of them say. Of several the one that holds the spool's lock does.
    """

    name = "log-shipping"

    def __init__(self, *, patience_s: float = 0.0) -> None:
        folder = Path(settings.LOG_SPOOL_DIR)
        wanted = following.wanted(settings.SERVING["FOLLOW_LOGS"]) if not patience_s else []
        self._sources: list[Source] = [SpooledLines(Reader(folder)), following.Follower(wanted, folder)]
        self._patience_s = patience_s
        self._shipper: Shipper | None = None
        self._ticker = Ticker(self.name, INTERVAL_S if not patience_s else patience_s / 3, self._round)

    def start(self) -> None:
        self._ticker.start()

    def stop(self, timeout: float) -> None:
        """Ship what the process said until now; what is not taken is found again at the next start."""
        self._ticker.stop(timeout)
        # In a thread: a store that is frozen must not hold up a process that ends.
        last = threading.Thread(target=self._last_round, name="log-shipping-end", daemon=True)
        last.start()
        last.join(min(timeout, LAST_ROUND_S))

    def _last_round(self) -> None:
        if self._shipper is not None:
            with fresh_connection(), contextlib.suppress(Exception):
                self._shipper.round()
        for source in self._sources:
            source.close()

    def _round(self) -> None:
        if self._shipper is None:
            if self._patience_s and waiting().oldest_s < self._patience_s:
                return
            self._shipper = Shipper(open_log_store(), self._sources)
        self._shipper.round()


def waiting() -> Depth:
    """What the folder holds that is not in the log store yet, of every process of this host."""
    return depth(Path(settings.LOG_SPOOL_DIR))


def background(*, patience_s: float = 0.0) -> list[Background]:
    return [ShippingThread(patience_s=patience_s)]
