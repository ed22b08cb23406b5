"""From the spool to the store: every call exactly once, whatever the store answers and whenever anyone dies."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import pytest

from monitoring import metrics, recorder, records, spooling
from monitoring.ids import mint
from monitoring.models import RecordRow
from monitoring.recorder import DeadFile, Recorder, RecorderThread, SpoolSource
from monitoring.records import Record, SpooledCall
from monitoring.spool import Reader, Spool
from monitoring.stores.base import Outcome, StoreUnavailable
from monitoring.stores.database import DatabaseStore


def a_call() -> SpooledCall:
    return SpooledCall(
        id=mint().bytes,
        project="demo",
        model="iris",
        version=1,
        version_id=mint().bytes,
        digest="ab" * 32,
        route="version 1",
        protocol="oip",
        status="succeeded",
        accepted_at=time.time(),
        total_s=0.001,
    )


class FaultyStore:
    """A database store that answers as it is told, once per record id; a fault of a whole batch comes first."""

    def __init__(self, *faults: Exception | None, outcomes: dict[bytes, Outcome] | None = None) -> None:
        self._faults = list(faults)
        self._outcomes = outcomes or {}
        self._store = DatabaseStore()
        self.batches = 0

    def create(self, batch: Sequence[Record]) -> list[Outcome]:
        self.batches += 1
        fault = self._faults.pop(0) if self._faults else None
        if isinstance(fault, StoreUnavailable):
            raise fault
        told = [self._outcomes.pop(record.id.bytes, None) for record in batch]
        taken = self._store.create([record for record, tell in zip(batch, told, strict=True) if tell is None])
        if fault is not None:
            raise fault
        return [tell or taken.pop(0) for tell in told]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class Bench:
    """A spool, its source, and a recorder that forgets its back-off when asked."""

    def __init__(self, folder, store) -> None:
        self.folder = folder
        self.dead = folder / "dead.jsonl"
        self.spool = Spool(folder)
        self.source = SpoolSource(Reader(folder), DeadFile(self.dead))
        self.recorder = Recorder(store, [self.source], dead=DeadFile(self.dead))

    def append(self, number: int = 1) -> list[SpooledCall]:
        calls = [a_call() for _ in range(number)]
        for call in calls:
            self.spool.append(records.encode_call(call))
        return calls

    def again(self) -> int:
        self.recorder._back_off.worked()
        return self.recorder.round()


@pytest.fixture
def bench(tmp_path):
    return lambda store: Bench(tmp_path, store)


pytestmark = pytest.mark.django_db


def stored() -> set[bytes]:
    return {identifier.bytes for identifier in RecordRow.objects.values_list("id", flat=True)}


def test_every_call_becomes_one_record(bench):
    at = bench(DatabaseStore())
    calls = at.append(1234)
    assert at.recorder.round() == 1234
    assert stored() == {call.id for call in calls}
    assert at.recorder.round() == 0


def test_an_unavailable_store_loses_nothing_and_is_left_alone_for_a_while(bench):
    store = FaultyStore(StoreUnavailable("away"), StoreUnavailable("still away"))
    at = bench(store)
    calls = at.append(10)
    assert at.recorder.round() == 0
    assert at.recorder.round() == 0
    assert store.batches == 1
    assert at.again() == 0
    assert at.again() == 10
    assert stored() == {call.id for call in calls}


def test_a_batch_whose_outcome_was_never_read_is_repeated_and_stays_one(bench):
    at = bench(FaultyStore(RuntimeError("died after the commit")))
    calls = at.append(10)
    with pytest.raises(RuntimeError):
        at.recorder.round()
    before = metrics.value(metrics.RECORDS, ("duplicate",))
    assert at.again() == 10
    assert stored() == {call.id for call in calls}
    assert metrics.value(metrics.RECORDS, ("duplicate",)) == before + 10


def test_an_item_to_retry_is_kept_while_the_others_are_forgotten(bench):
    store = FaultyStore()
    at = bench(store)
    calls = at.append(5)
    store._outcomes = {calls[2].id: Outcome.RETRY}
    assert at.recorder.round() == 4
    assert stored() == {call.id for call in calls} - {calls[2].id}
    assert at.again() == 1
    assert stored() == {call.id for call in calls}


@pytest.mark.parametrize("outcome", [Outcome.REJECTED, Outcome.CONFLICT])
def test_what_the_store_will_never_take_is_kept_aside_and_counted(bench, outcome):
    store = FaultyStore()
    at = bench(store)
    calls = at.append(3)
    store._outcomes = {calls[1].id: outcome}
    before = metrics.value(metrics.RECORDS, (outcome.value,))
    assert at.recorder.round() == 3
    (line,) = at.dead.read_text().splitlines()
    assert json.loads(line)["id"] == str(records.from_spooled(calls[1]).id)
    assert json.loads(line)["reason"] == outcome.value
    assert metrics.value(metrics.RECORDS, (outcome.value,)) == before + 1
    assert at.recorder.round() == 0


def test_a_payload_that_is_no_call_does_not_stop_the_others(bench):
    at = bench(DatabaseStore())
    at.spool.append(b"not a call")
    calls = at.append(2)
    assert at.recorder.round() == 2
    assert stored() == {call.id for call in calls}
    assert json.loads(at.dead.read_text())["payload"] == b"not a call".hex()


def test_a_call_whose_tensor_lies_about_its_shape_is_kept_aside(bench):
    at = bench(DatabaseStore())
    lie = records.SpooledTensor("x", "FP64", (3, 3), bytes(8))
    at.spool.append(records.encode_call(records.msgspec.structs.replace(a_call(), inputs=(lie,))))
    assert at.recorder.round() == 0
    assert "unreadable" in at.dead.read_text()
    assert at.source.batch(10) == []


def test_calls_of_a_process_that_died_are_recorded_by_the_next(bench, tmp_path):
    first = bench(DatabaseStore())
    calls = first.append(20)
    first.source.batch(5)
    first.source.close()
    second = Bench(tmp_path, DatabaseStore())
    calls += second.append(5)
    assert second.recorder.round() == 25
    assert stored() == {call.id for call in calls}


@pytest.mark.django_db(transaction=True)
def test_the_thread_records_a_call_within_two_seconds_of_its_append(settings, tmp_path):
    settings.SPOOL_DIR = tmp_path
    spooling.close()
    thread = RecorderThread("recorder", [recorder.spool_source()])
    thread.start()
    try:
        time.sleep(0.3)
        call = a_call()
        started = time.monotonic()
        spooling.append(records.encode_call(call))
        while not stored() and time.monotonic() - started < 5:
            time.sleep(0.02)
        assert stored() == {call.id}
        assert time.monotonic() - started < 2
    finally:
        thread.stop(5)
        spooling.close()
