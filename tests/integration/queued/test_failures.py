"""One bad, slow, crashing or greedy item fails alone, at its model's hard limit at the latest."""

from __future__ import annotations

import time
from typing import Any

import pytest

from models_registry import errors, snapshot
from predictions.models import Prediction
from predictions.queued import execution
from tests import cast
from tests.integration.queued.test_path import ended

pytestmark = pytest.mark.usefixtures("workers")

BAD = cast.MAGIC


def send(door: Any, model: str, first: float) -> str:
    status, shown = door.post("/v1/predictions", {"model": model, "input": {"instances": [[first, 1.0]]}})
    assert status == 201, shown
    return shown["id"]


def batch(door: Any, model: str, version: Any, firsts: list[float]) -> list[dict[str, Any]]:
    """Predictions that are run as one batch; how each of them ended."""
    snapshot.predictor(snapshot.current().versions[version.id], wait=20)
    rows = [send(door, model, first) for first in firsts]
    return [ended(door, identifier, within=30) for identifier in rows]


def as_one_batch(monkeypatch: pytest.MonkeyPatch, door: Any, model: str, version: Any, firsts: list[float]) -> Any:
    """The same, certain to be claimed together: nothing runs until all are accepted."""
    from predictions.queued import nudges

    held: list[Any] = []
    real = nudges.PUBLISHER.hint
    monkeypatch.setattr(nudges.PUBLISHER, "hint", lambda some: held.extend(some))
    snapshot.predictor(snapshot.current().versions[version.id], wait=20)
    rows = [send(door, model, first) for first in firsts]
    monkeypatch.setattr(nudges.PUBLISHER, "hint", real)
    real(held)
    return [ended(door, identifier, within=40) for identifier in rows]


FIRSTS = [1.0, 2.0, BAD, 3.0, 4.0]


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("raising", "model_error"),
        ("nan", "unusable_output"),
        ("crashing", "crashed"),
        ("segfaulting", "crashed"),
        ("greedy", "resource_exhausted"),
        ("hanging", "timeout"),
    ],
)
def test_one_bad_item_fails_alone(kind, code, door, register, monkeypatch):
    version = register("bad", cast.native(kind), hard_limit_s=2.0, row_cost_s=[1e-5, 2e-5, 1e-4])
    found = as_one_batch(monkeypatch, door, "bad", version, FIRSTS)
    assert [shown["status"] for shown in found] == ["succeeded", "succeeded", "failed", "succeeded", "succeeded"]
    assert [shown["output"]["value"] for shown in found if shown["output"]] == [[2.0], [3.0], [4.0], [5.0]]
    row = Prediction.objects.get(id=found[2]["id"])
    assert row.error_code == code
    assert found[2]["error"]


def test_a_hanging_item_ends_at_the_hard_limit(door, register):
    version = register("bad", cast.native("hanging"), hard_limit_s=1.0)
    snapshot.predictor(snapshot.current().versions[version.id], wait=20)
    began = time.monotonic()
    shown = ended(door, send(door, "bad", BAD), within=20)
    assert shown["status"] == "failed"
    assert time.monotonic() - began < 6


@pytest.mark.parametrize("error", [MemoryError, RecursionError, SystemExit, KeyboardInterrupt])
def test_no_exception_ends_the_worker(error, door, register, monkeypatch):
    version = register("adder", cast.adder())
    real = execution.bisection.predict_each
    raised = []

    def raise_once(*args: Any, **kwargs: Any) -> Any:
        if not raised:
            raised.append(error)
            raise error("from the model")
        return real(*args, **kwargs)

    monkeypatch.setattr(execution.bisection, "predict_each", raise_once)
    [first] = batch(door, "adder", version, [1.0])
    [second] = batch(door, "adder", version, [1.0])
    assert raised
    assert (first["status"], second["status"]) == ("failed", "succeeded")


def test_a_version_that_cannot_be_loaded_now_leaves_its_rows_waiting(door, register, monkeypatch):
    register("adder", cast.adder())

    def refuse(*_: Any, **__: Any) -> Any:
        raise errors.Unavailable("the store is away", retry_after=1)

    real = snapshot.predictor
    monkeypatch.setattr(snapshot, "predictor", refuse)
    monkeypatch.setattr(execution, "POSTPONED_S", 0.5)
    identifier = send(door, "adder", 1.0)
    time.sleep(0.4)
    assert Prediction.objects.get(id=identifier).status == "starting"
    monkeypatch.setattr(snapshot, "predictor", real)
    assert ended(door, identifier)["status"] == "succeeded"


def test_a_prediction_canceled_while_it_runs_stays_canceled(door, register):
    register("slow", cast.slow(800))
    identifier = send(door, "slow", 1.0)
    end = time.monotonic() + 10
    while Prediction.objects.get(id=identifier).status == "starting" and time.monotonic() < end:
        time.sleep(0.01)
    status, shown = door.post(f"/v1/predictions/{identifier}/cancel", None)
    assert (status, shown["status"]) == (200, "canceled")
    time.sleep(1.5)
    assert door.get(f"/v1/predictions/{identifier}")[1]["status"] == "canceled"
