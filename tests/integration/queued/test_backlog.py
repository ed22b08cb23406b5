"""The backlog's gauges say what the ledger says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone

from monitoring import metrics
from predictions.models import Prediction
from predictions.queued import background
from predictions.queued.backlog import Backlog
from tests.integration.queued import rows

pytestmark = pytest.mark.django_db(transaction=True)
QUEUE = ("predictions.default.standard",)
EMPTY = ("predictions.default.bulk",)


@pytest.fixture
def backlog() -> Iterator[Backlog]:
    before = dict(metrics._gauges)
    yield Backlog([*QUEUE, *EMPTY])
    metrics._gauges.clear()
    metrics._gauges.update(before)


def test_nothing_is_said_before_the_first_count(backlog):
    assert metrics.read_gauge(metrics.QUEUE_DEPTH) == {}
    assert metrics.read_gauge(metrics.UNRECORDED) == {}


def test_depth_counts_what_waits_and_the_age_is_the_oldest_ones(backlog):
    ids = rows.accept(3)
    Prediction.objects.filter(id=ids[0]).update(accepted_at=timezone.now() - timedelta(seconds=90))
    rows.claim([ids[2]])
    backlog.count()
    assert metrics.read_gauge(metrics.QUEUE_DEPTH) == {QUEUE: 2, EMPTY: 0}
    oldest = metrics.read_gauge(metrics.QUEUE_OLDEST)
    assert 90 <= oldest[QUEUE] < 120
    assert oldest[EMPTY] == 0


def test_a_queue_that_emptied_is_shown_as_empty(backlog):
    ids = rows.accept(2, pool="gpu")
    backlog.count()
    assert metrics.read_gauge(metrics.QUEUE_DEPTH)["predictions.gpu.standard",] == 2
    rows.claim(ids)
    backlog.count()
    assert metrics.read_gauge(metrics.QUEUE_DEPTH)["predictions.gpu.standard",] == 0


def test_ended_rows_without_record_are_owed(backlog):
    ids = rows.accept(3)
    Prediction.objects.filter(id__in=ids[:2]).update(status="succeeded", completed_at=timezone.now())
    Prediction.objects.filter(id=ids[0]).update(recorded_at=timezone.now())
    backlog.count()
    assert metrics.read_gauge(metrics.UNRECORDED) == {(): 1}


def test_the_keeper_counts_it():
    before = dict(metrics._gauges)
    assert "backlog" in [thread.name for thread in background("keeper")]
    metrics._gauges.clear()
    metrics._gauges.update(before)
