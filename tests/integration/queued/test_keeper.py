"""The keeper's rounds: what went missing is found, what is over ends, what ended is recorded."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from monitoring import stores
from predictions.models import Prediction
from predictions.queued import keeper, ledger, nudges, sweeps
from predictions.queued.ledger import Settled
from tests.integration.queued import rows

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the keeper nudges, instead of a broker."""
    gathered: list[Any] = []
    monkeypatch.setattr(nudges, "PUBLISHER", nudges.Publisher(gathered.append))
    return gathered


def ids_of(messages: list[Any]) -> list[Any]:
    nudges.PUBLISHER.flush()
    return sorted(identifier for message in messages for identifier in message.ids)


def past(**fields: float) -> Any:
    return timezone.now() - timedelta(**fields)


def test_a_row_whose_hint_was_lost_is_nudged_with_growing_pauses(sent):
    [lost, fresh] = rows.accept(2)
    pauses = []
    for _ in range(7):
        Prediction.objects.filter(id=lost).update(next_send_at=past(seconds=1))
        keeper.keep()
        nudges.PUBLISHER.flush()
        pauses.append((Prediction.objects.get(id=lost).next_send_at - timezone.now()).total_seconds())
    assert ids_of(sent) == [lost] * 7
    assert 0.5 < pauses[0] < 1.5
    assert 20 < pauses[6] < 38
    assert Prediction.objects.get(id=fresh).sends == 0


def test_an_expired_lease_goes_back_to_waiting_alone_and_is_nudged(sent):
    ids = rows.accept(2)
    rows.claim(ids)
    rows.expire_lease(ids[:1])
    keeper.keep()
    row = Prediction.objects.get(id=ids[0])
    assert (row.status, row.attempts, row.alone, row.fence) == ("starting", 1, True, None)
    assert ids_of(sent) == ids[:1]
    assert rows.status(ids[1]) == "processing"


def test_a_row_whose_worker_is_lost_each_time_ends_failed(sent):
    [identifier] = rows.accept()
    for _ in range(3):
        assert rows.claim([identifier])
        rows.expire_lease([identifier])
        keeper.keep()
    row = Prediction.objects.get(id=identifier)
    assert (row.status, row.error_code, row.attempts) == ("failed", "attempts_exhausted", 3)
    assert row.completed_at is not None


def test_a_passed_deadline_ends_waiting_and_running_rows(sent):
    ids = rows.accept(3)
    fence = rows.claim(ids[1:2])[0].fence
    Prediction.objects.filter(id__in=ids[:2]).update(deadline_at=past(seconds=1))
    keeper.keep()
    assert [rows.status(identifier) for identifier in ids] == ["aborted", "aborted", "starting"]
    assert ledger.settle(fence, [Settled(ids[1], output=b"1")]) == {}
    assert ids_of(sent) == []


def test_every_ended_row_becomes_one_record_and_is_marked(sent):
    ids = rows.accept(4)
    fence = rows.claim(ids[:2])[0].fence
    ledger.settle(fence, [Settled(ids[0], output=b'{"value":[3.0]}'), Settled(ids[1], error_code="x", error="why")])
    ledger.cancel(1, ids[2])
    source, store = keeper.Rows(), stores.open_store()
    waiting = source.batch(10)
    assert [record.status for _, record in waiting] == ["succeeded", "failed", "canceled"]
    store.create([record for _, record in waiting])
    source.mark([token for token, _ in waiting])
    assert source.batch(10) == []
    found = store.get("demo", ids[0])
    assert found is not None
    assert (found.outputs, found.inputs) == ({"value": [3.0]}, {"instances": [[1, 2]]})


def test_how_late_records_are_is_known_by_the_oldest_row_without_one():
    source = keeper.Rows()
    ids = rows.accept(2)
    for identifier in ids:
        [row] = rows.claim([identifier])
        ledger.settle(row.fence, [Settled(identifier, output=b"{}")])
    Prediction.objects.filter(id=ids[0]).update(completed_at=timezone.now() - timedelta(seconds=keeper.MOST_LATE_S))
    assert source.lateness() == 0.0
    source.batch(10)
    assert 1.0 <= source.lateness() < 2.0
    source.mark(ids)
    source.batch(10)
    assert source.lateness() == 0.0


def test_rows_behind_one_that_is_not_marked_yet_are_handed_out_without_it():
    ids = rows.accept(4)
    for identifier in ids:
        ledger.cancel(1, identifier)
    source = keeper.Rows()
    first = [token for token, _ in source.batch(2)]
    assert [*first, *(token for token, _ in source.batch(10, first[-1]))] == ids
    assert source.batch(10, ids[-1]) == []
    assert [token for token, _ in source.batch(10)] == ids


def test_the_same_row_gives_the_same_record():
    [identifier] = rows.accept()
    fence = rows.claim([identifier])[0].fence
    ledger.settle(fence, [Settled(identifier, output=b'{"value":[3.0]}')])
    source = keeper.Rows()
    assert source.batch(1) == source.batch(1)


def test_only_rows_with_a_record_are_purged():
    ids = rows.accept(4)
    for identifier in ids[:3]:
        ledger.cancel(1, identifier)
    source = keeper.Rows()
    stores.open_store().create([record for _, record in source.batch(10)[:2]])
    source.mark(ids[:3])  # the third is marked by mistake: its record is not there
    Prediction.objects.update(completed_at=past(days=30), accepted_at=past(days=30))
    assert keeper.purge() == 2
    assert set(Prediction.objects.values_list("id", flat=True)) == set(ids[2:])


def test_a_key_is_kept_for_a_day_whatever_the_retention():
    [identifier] = rows.accept(idempotency_key="key", body_hash="a")
    ledger.cancel(1, identifier)
    sweeps.mark_recorded([identifier])
    Prediction.objects.update(completed_at=past(hours=23), accepted_at=past(hours=23))
    assert sweeps.purgeable(retention_s=1.0, now=timezone.now()) == []
    Prediction.objects.update(completed_at=past(hours=25), accepted_at=past(hours=25))
    assert sweeps.purgeable(retention_s=1.0, now=timezone.now()) == [identifier]


def test_an_open_row_is_never_marked_recorded():
    [identifier] = rows.accept()
    assert sweeps.mark_recorded([identifier]) == 0
