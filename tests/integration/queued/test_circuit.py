"""Predictions of a version whose process keeps dying wait, and cost the others nothing."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils import timezone

from models_registry import snapshot
from models_registry.runtime import native
from predictions.models import Prediction
from predictions.queued import execution
from tests import cast


def accepted(door: Any, model: str, *row: float) -> UUID:
    _, shown = door.post("/v1/predictions", {"model": model, "input": {"instances": [list(row)]}})
    return UUID(shown["id"])


def row_of(identifier: UUID) -> Prediction:
    return Prediction.objects.get(id=identifier)


def test_rows_wait_while_the_circuit_of_their_version_is_open(door, register, monkeypatch):
    monkeypatch.setattr(native, "DEATHS", 1)
    monkeypatch.setattr(native, "FIRST_PAUSE_S", 30.0)
    monkeypatch.setattr(native, "LONGEST_PAUSE_S", 30.0)
    version = register("crashing", cast.native("crashing"))
    register("adder", cast.adder())
    bad, good = accepted(door, "crashing", cast.MAGIC, 1), accepted(door, "crashing", 1, 2)
    other = accepted(door, "adder", 1, 2)
    execution.run([bad])
    assert (row_of(bad).status, row_of(bad).error_code) == ("failed", "crashed")
    for _ in range(4):
        execution.run([good, other])
    waiting = row_of(good)
    assert (waiting.status, waiting.attempts, waiting.fence) == ("starting", 0, None)
    assert 15 < (waiting.next_send_at - timezone.now()).total_seconds() < 35
    assert row_of(other).status == "succeeded"
    snapshot._holder.loaded.ready[version.pk].breaker._open_until = 0.0  # its pause is over
    execution.run([good])
    assert (row_of(good).status, row_of(good).output) == ("succeeded", b'{"value":[3.0]}')
