"""While a store elsewhere works on one batch, the recorder prepares and gives it the next: in order, bounded, no item
twice at the same time, and whatever becomes of one of the two."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from monitoring import recorder
from monitoring.courtesy import Courtesy
from monitoring.recorder import DeadFile, Recorder
from monitoring.records import Record
from monitoring.stores.base import Outcome, StoreUnavailable
from tests.contracts.record_store import a_record

BATCH = 4
LIMIT_S = 5.0


class Waiting:
    """A source of so many records; tokens are their numbers."""

    name = "waiting"

    def __init__(self, number: int) -> None:
        self.records = [a_record() for _ in range(number)]
        self.marked: list[int] = []
        self.is_broken = False

    def batch(self, limit: int, behind: int | None = None) -> list[tuple[int, Record]]:
        after = -1 if behind is None else behind
        found = [(at, one) for at, one in enumerate(self.records) if at > after and at not in self.marked]
        return found[:limit]

    def mark(self, tokens: Sequence[int]) -> None:
        if self.is_broken:
            raise RuntimeError("the database went away")
        self.marked += tokens


class Elsewhere:
    """A store that works on two batches at once; `do` is what it does with each, by its number."""

    at_once = 2

    def __init__(self, do: Callable[[int], object] = lambda number: None) -> None:
        self._do = do
        self._lock = threading.Lock()
        self.working: list[Record] = []
        self.taken: list[Record] = []
        self.threads: set[int] = set()
        self.most_at_once = self.batches = 0

    def create(self, batch: Sequence[Record]) -> list[Outcome]:
        with self._lock:
            number, self.batches = self.batches, self.batches + 1
            assert not {one.id for one in batch} & {one.id for one in self.working}
            self.working += batch
            self.threads.add(threading.get_ident())
            self.most_at_once = max(self.most_at_once, len(self.working))
        try:
            self._do(number)
            self.taken += batch
            return [Outcome.STORED] * len(batch)
        finally:
            with self._lock:
                self.working = [one for one in self.working if one not in batch]


class InNoHurry(Courtesy):
    def batch(self, most: int) -> int:
        return most

    def pause_after(self, cpu_s: float) -> float:
        return 0.0

    def hurries(self) -> bool:
        return False


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Recorder]]:
    monkeypatch.setattr(recorder, "BATCH_RECORDS", BATCH)
    made: list[Recorder] = []

    def make(store: Any, source: Waiting, courtesy: Courtesy | None = None) -> Recorder:
        made.append(Recorder(store, [source], dead=DeadFile(tmp_path / "dead.jsonl"), courtesy=courtesy))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_the_next_batch_is_given_while_the_store_works_on_the_one_before(recording):
    meeting = threading.Barrier(2)
    source = Waiting(2 * BATCH)
    store = Elsewhere(lambda number: meeting.wait(LIMIT_S))
    assert recording(store, source).round() == 2 * BATCH
    assert sorted(source.marked) == list(range(2 * BATCH))


def test_of_many_batches_two_are_under_way_and_each_record_once(recording):
    source = Waiting(7 * BATCH + 1)
    store = Elsewhere(lambda number: time.sleep(0.005))
    assert recording(store, source).round() == len(source.records)
    assert store.most_at_once <= 2 * BATCH
    assert sorted(one.id for one in store.taken) == sorted(one.id for one in source.records)


def test_batches_are_forgotten_in_their_order_whichever_is_answered_first(recording):
    second = threading.Event()

    def do(number: int) -> None:
        if number == 0:
            assert second.wait(LIMIT_S)
        second.set()

    source = Waiting(2 * BATCH)
    recording(Elsewhere(do), source).round()
    assert source.marked == list(range(2 * BATCH))


@pytest.mark.parametrize("refused", [0, 1])
def test_what_the_store_took_is_forgotten_when_it_refused_the_other(recording, refused):
    meeting = threading.Barrier(2)

    def do(number: int) -> None:
        if number < 2:
            meeting.wait(LIMIT_S)
        if number == refused:
            raise StoreUnavailable("away")

    source, store = Waiting(3 * BATCH), Elsewhere(do)
    at = recording(store, source)
    at.round()
    assert len(source.marked) in (BATCH, 2 * BATCH)
    kept = [one.id for one in source.records if one not in store.taken]
    assert [one.id for place, one in enumerate(source.records) if place not in source.marked] == kept
    batches = store.batches
    assert (at.round(), store.batches) == (0, batches)  # it is left alone for a while
    at._back_off.worked()
    at.round()
    assert sorted(source.marked) == list(range(3 * BATCH))
    assert len(store.taken) == len(source.records)


def test_a_round_that_fails_ends_when_nothing_is_under_way_any_more(recording):
    meeting = threading.Barrier(2)

    def do(number: int) -> None:
        meeting.wait(LIMIT_S)
        time.sleep(0.05 * number)

    source, store = Waiting(2 * BATCH), Elsewhere(do)
    source.is_broken = True
    at = recording(store, source)
    with pytest.raises(RuntimeError, match="went away"):
        at.round()
    assert (store.working, len(store.taken), source.marked) == ([], 2 * BATCH, [])
    source.is_broken = False
    at.round()
    assert sorted(source.marked) == list(range(2 * BATCH))


def test_a_recorder_that_is_stopped_settles_what_is_under_way_and_gives_no_more(recording):
    meeting = threading.Barrier(2)
    source = Waiting(6 * BATCH)

    def do(number: int) -> None:
        meeting.wait(LIMIT_S)
        at.stop()

    store = Elsewhere(do)
    at = recording(store, source)
    at.round()
    assert store.batches == 2
    assert source.marked == list(range(2 * BATCH))


@pytest.mark.parametrize("gives_way", [True, False])
def test_one_at_a_time_in_the_recorders_own_thread(recording, gives_way):
    """Towards others, and where the store works in this very process."""
    source, store = Waiting(3 * BATCH), Elsewhere()
    if not gives_way:
        store.at_once = 1
    assert recording(store, source, InNoHurry() if gives_way else None).round() == 3 * BATCH
    assert store.threads == {threading.get_ident()}
    assert store.most_at_once == BATCH
