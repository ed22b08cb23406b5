"""The recorder: moves what was seen from where it waits (spool, ledger) into the record store, each exactly once.

A source is told to forget an item only after the store's own outcome for it was read; dying anywhere in between
costs a repeat, which the store answers with DUPLICATE. While a store elsewhere works on one batch, the next is read
and given to it (`under_way`).
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec

from monitoring import answers, documents, erasures, metrics, records, spooling, stores
from monitoring.background import Ticker
from monitoring.courtesy import Courtesy, towards_calls
from monitoring.records import Record
from monitoring.spool import Reader, Token
from monitoring.stores.base import Outcome, RecordStore, StoreUnavailable
from monitoring.under_way import Given, UnderWay

logger = logging.getLogger(__name__)

BATCH_RECORDS = 500
BATCH_BYTES = 5_000_000
INTERVAL_S = 0.5
#: Waits after the first, second, … batch in a row that the store did not take.
BACK_OFF_S = (0.5, 1.0, 2.0, 5.0, 10.0)
#: One round ends after this long even when more waits, so that a stopping process is not held up.
ROUND_S = 5.0


class Source(Protocol):
    """Where records wait. Both may raise; the round then ends and the next one begins anew."""

    name: str

    def batch(self, limit: int, behind: Any = None) -> list[tuple[Any, Record]]:
        """At most `limit` waiting records with a token each, oldest first; unmarked ones come again.

        `behind` is the last token of the batch before, which is not marked yet: only what follows it is wanted.
        """
        ...

    def mark(self, tokens: Sequence[Any]) -> None:
        """These are in the store (or kept aside for good): never hand them out again."""
        ...


class DeadFile:
    """Where a record goes that the store will never take, so that it is kept all the same: JSON lines on disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def keep(self, reason: str, content: dict[str, Any]) -> None:
        line = json.dumps({"reason": reason, "kept_at": time.time(), **content}, default=str)
        with self._lock:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a") as file:
                file.write(f"{line}\n")


class SpoolSource:
    """Online calls as records. What cannot be read as a call is kept aside byte for byte and counted."""

    name = "spool"

    def __init__(self, reader: Reader, dead: DeadFile) -> None:
        self._reader = reader
        self._dead = dead
        self._damaged = 0

    def batch(self, limit: int, behind: Token | None = None) -> list[tuple[Token, Record]]:
        found: list[tuple[Token, Record]] = []
        unreadable: list[Token] = []
        for token, payload in self._reader.batch(calls=limit, octets=BATCH_BYTES, behind=behind):
            try:
                found.append((token, records.from_spooled(records.decode_call(payload))))
            except (msgspec.MsgspecError, ValueError, KeyError, TypeError, OverflowError) as error:
                self._dead.keep(f"unreadable: {error}", {"payload": payload.hex()})
                unreadable.append(token)
        if unreadable:
            _alarm("record_unreadable", "%d spooled calls could not be read; they are kept aside", len(unreadable))
            metrics.count_records("rejected", len(unreadable))
            self._reader.mark(unreadable)
        self._count_damage()
        return found

    def mark(self, tokens: Iterable[Token]) -> None:
        self._reader.mark(tokens)

    def close(self) -> None:
        self._reader.close()

    def _count_damage(self) -> None:
        fresh, self._damaged = self._reader.damaged - self._damaged, self._reader.damaged
        if fresh:
            _alarm("spool_damaged", "%d stretches of the spool could not be read", fresh)
            metrics.count_records("lost", fresh)


@dataclass(slots=True)
class _BackOff:
    """Until when a store that refused is left alone."""

    failures: int = 0
    until: float = 0.0

    @property
    def next_s(self) -> float:
        return BACK_OFF_S[min(self.failures, len(BACK_OFF_S) - 1)]

    def failed(self) -> None:
        self.until = time.monotonic() + self.next_s
        self.failures += 1

    def worked(self) -> None:
        self.failures, self.until = 0, 0.0

    def is_waiting(self) -> bool:
        return time.monotonic() < self.until


class Recorder:
    """Works the sources off in turn. `round` is one visit to each; run it in one thread at a time."""

    def __init__(
        self, store: RecordStore, sources: Sequence[Source], *, dead: DeadFile, courtesy: Courtesy | None = None
    ) -> None:
        self._courtesy: Courtesy = courtesy or towards_calls()
        self._store = store
        self._sources = sources
        self._dead = dead
        self._back_off = _BackOff()
        self._under_way = UnderWay(store)
        self._stopped = False

    def round(self) -> int:
        """Move what waits, batch by batch, until nothing does, the store refuses, or 5 s are over.

        Returns how many records the sources could forget.
        """
        if self._back_off.is_waiting():
            return 0
        moved = 0
        ends = time.monotonic() + ROUND_S
        for source in self._sources:
            marked, is_clean = self._work_off(source, ends)
            moved += marked
            if not is_clean:
                self._back_off.failed()
                break
        return moved

    def stop(self) -> None:
        """End the round that runs after its current batches."""
        self._stopped = True

    def close(self) -> None:
        """Behind the last round."""
        self._under_way.close()

    def _work_off(self, source: Source, ends: float) -> tuple[int, bool]:
        """(items marked, whether the store took everything it could)."""
        under_way, moved, is_clean = self._under_way, 0, True
        try:
            while is_clean and not self._stopped and time.monotonic() < ends:
                begun = time.thread_time()
                limit = self._courtesy.batch(BATCH_RECORDS)
                batch = self._courtesy.read(source.batch, limit, under_way.behind)
                # At the end of what waits everything is settled first, so that nothing older is passed by for long.
                ahead = self._store.at_once - 1 if len(batch) == limit and self._courtesy.hurries() else 0
                if batch:
                    under_way.give(batch, at_once=ahead > 0)
                marked, is_clean = self._settle_down_to(ahead, source)
                moved += marked
                if not batch:
                    break
                time.sleep(self._courtesy.pause_after(time.thread_time() - begun))
            marked, is_last_clean = self._settle_down_to(0, source)
            return moved + marked, is_clean and is_last_clean
        finally:
            under_way.forget()

    def _settle_down_to(self, number: int, source: Source) -> tuple[int, bool]:
        """Settle the oldest batches until so many are left. (items marked, whether the store took all it could)."""
        moved, is_clean = 0, True
        while len(self._under_way) > number:
            marked, is_this_clean = self._courtesy.write(self._settle, source, self._under_way.oldest())
            moved += marked
            is_clean = is_clean and is_this_clean
        return moved, is_clean

    def _settle(self, source: Source, given: Given) -> tuple[int, bool]:
        """Have the source forget what the store has judged. (items marked, whether the store took all it could)."""
        try:
            outcomes = given.outcomes()
        except StoreUnavailable as error:
            logger.warning(
                "the record store is unavailable, records wait in %s (again in %.1f s): %s",
                source.name,
                self._back_off.next_s,
                error,
                extra={"action": "record_store_unavailable"},
            )
            return 0, False
        judged = list(zip(given.batch, outcomes, strict=True))
        erasures.drop_late(self._store, (record for _, record in given.batch))
        answers.observe(record for (_, record), outcome in judged if outcome is Outcome.STORED)
        settled = [token for (token, record), outcome in judged if self._is_settled(record, outcome)]
        for outcome, amount in Counter(outcomes).items():
            if outcome is not Outcome.RETRY:
                metrics.count_records(_COUNTED_AS[outcome], amount)
        if settled:
            source.mark(settled)
        if len(settled) < len(judged):
            return len(settled), False
        self._back_off.worked()
        return len(settled), True

    def _is_settled(self, record: Record, outcome: Outcome) -> bool:
        """Judge one outcome: keep aside what the store will never take, say whether to forget it."""
        if outcome is Outcome.RETRY:
            return False
        if outcome in (Outcome.REJECTED, Outcome.CONFLICT):
            self._dead.keep(outcome.value, documents.to_document(record))
            _alarm(f"record_{outcome.value}", "record %s: %s; it is kept aside", record.id, outcome.value)
        return True


_COUNTED_AS = {
    Outcome.STORED: "written",
    Outcome.DUPLICATE: "duplicate",
    Outcome.CONFLICT: "conflict",
    Outcome.REJECTED: "rejected",
}


def _alarm(action: str, message: str, *facts: Any) -> None:
    logger.error(message, *facts, extra={"action": action})


class RecorderThread:
    """A recorder in a thread of its own: a round every half second, and at once after `wake()`.

    So a record is found well within two seconds of its answer, without a wake-up per call on the online path.
    """

    def __init__(
        self, name: str, sources: Sequence[Source], *, interval: float = INTERVAL_S, courtesy: Courtesy | None = None
    ) -> None:
        self.name = name
        self._courtesy = courtesy
        self._recorder: Recorder | None = None
        self._sources = sources
        self._ticker = Ticker(name, interval, self._round)

    def start(self) -> None:
        self._ticker.start()

    def wake(self) -> None:
        self._ticker.wake()

    def stop(self, timeout: float) -> None:
        """End after the batches that are being written; what waits is found again at the next start."""
        if self._recorder is not None:
            self._recorder.stop()
        self._ticker.stop(timeout)
        if self._recorder is not None:
            self._recorder.close()
        for source in self._sources:
            if isinstance(source, SpoolSource):
                source.close()

    def _round(self) -> None:
        if self._recorder is None:
            self._recorder = Recorder(stores.open_store(), self._sources, dead=dead_file(), courtesy=self._courtesy)
        self._recorder.round()


def dead_file() -> DeadFile:
    return DeadFile(spooling.directory() / "dead.jsonl")


def spool_source() -> SpoolSource:
    return SpoolSource(Reader(spooling.directory()), dead_file())
