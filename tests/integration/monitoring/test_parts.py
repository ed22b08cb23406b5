"""What health and the gauges say of the registry's snapshot, its models and the queue."""

from __future__ import annotations

import pytest
from django.test import Client

from models_registry import snapshot
from models_registry.models import ModelVersion, RegisteredModel
from monitoring import metrics
from monitoring.health import State
from predictions import queued
from serving_site import watching

pytestmark = pytest.mark.django_db(transaction=True)


def test_ready_names_the_parts_of_every_room(watched):
    snapshot.refresh(wait=0)
    report = Client().get("/health/ready").json()
    assert {"database", "cache", "record store", "spool", "threads", "snapshot", "models", "queue"} <= set(
        report["parts"]
    )
    assert report["ready"] is True


def test_a_registry_that_is_not_read_any_more_is_told(watched, monkeypatch):
    snapshot.refresh(wait=0)
    assert watching.registry_snapshot().state is State.OK
    monkeypatch.setattr(watching, "STALE_S", -1.0)
    assert watching.registry_snapshot().state is State.DEGRADED


def test_the_series_of_a_retired_version_end_with_it(watched):
    model = RegisteredModel.objects.create(project=watched.ours, name="wine")
    version = ModelVersion.objects.create(model=model, number=1, digest="cd" * 32, status="ready")
    labels = ("ours", "wine", "1")
    metrics.observe_prediction(labels, protocol="oip", status="succeeded", total_s=0.1)
    assert metrics.value(metrics.QUEUE_SECONDS, (*labels, "oip")) == 1
    version.retire(who="test")
    assert metrics.value(metrics.QUEUE_SECONDS, (*labels, "oip")) == 0
    assert metrics.value(metrics.PREDICTIONS, (*labels, "oip", "succeeded")) == 0


def test_the_queue_answers():
    assert watching.queue().state is State.OK


def test_every_gauge_that_is_declared_can_be_read(watched):
    snapshot.refresh(wait=0)
    queued.background("keeper")  # what only the keeper counts
    for metric in metrics.DECLARED:
        if metric.kind == "gauge":
            assert isinstance(dict(metrics._gauges[metric.name]()), dict), metric.name
