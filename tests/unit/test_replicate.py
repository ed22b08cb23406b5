"""Requests and predictions in Replicate's shape."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from models_registry.errors import InvalidInput
from predictions.protocols import replicate
from predictions.protocols.replicate import BadKey, Queue, Sight

SIGHT = Sight(
    id=uuid4(),
    project="demo",
    model="iris",
    version=3,
    version_id=uuid4(),
    digest="d" * 64,
    pool="default",
    priority="standard",
    status="succeeded",
    input=b'{"instances":[[1]]}',
    output=b'{"value":[1.5]}',
    error="",
    accepted_at=datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
    deadline_at=datetime(2026, 1, 3, 3, 4, 5, tzinfo=UTC),
    started_at=None,
    completed_at=datetime(2026, 1, 2, 3, 4, 7, 678901, UTC),
    inference_ms=12.5,
)


def shown(sight: Sight, **how: Any) -> dict[str, Any]:
    return json.loads(replicate.show(sight, base="http://host/prefix", **how))


def test_all_keys_a_client_reads_are_there():
    prediction = shown(SIGHT)
    assert prediction["model"] == "demo/iris"
    assert prediction["output"] == {"value": [1.5]}
    assert prediction["created_at"] == "2026-01-02T03:04:05.678901Z"
    assert prediction["metrics"] == {"predict_time": 0.0125, "total_time": 2.0}
    assert prediction["urls"]["get"] == f"http://host/prefix/v1/predictions/{SIGHT.id}"
    assert {"logs", "error", "started_at", "completed_at", "data_removed", "deadline"} <= set(prediction)


def test_a_passed_deadline_reads_canceled():
    prediction = shown(replace(SIGHT, status="aborted", output=None))
    assert (prediction["status"], prediction["error"]) == ("canceled", "deadline passed")


def test_after_a_wait_the_unfinished_reads_starting_and_the_finished_as_it_is():
    assert shown(replace(SIGHT, status="processing"), as_waiting=True)["status"] == "starting"
    assert shown(replace(SIGHT, status="processing"))["status"] == "processing"
    assert shown(SIGHT, as_waiting=True)["status"] == "succeeded"


def test_the_queue_is_shown_while_it_waits_only():
    assert shown(replace(SIGHT, status="starting"), queue=Queue(3, 1.5))["queue"] == {
        "position": 3,
        "eta_seconds": 1.5,
    }
    assert "queue" not in shown(SIGHT, queue=Queue(3, 1.5))


def test_a_sight_survives_the_cache():
    for sight in (SIGHT, replace(SIGHT, output=None, completed_at=None)):
        assert Sight.from_json(sight.to_json()) == sight


@pytest.mark.parametrize(
    ("header", "wait", "at_once"),
    [
        ("", None, False),
        ("wait", 30.0, False),
        ("wait=5", 5.0, False),
        ("Wait = 60", 60.0, False),
        ("respond-async", None, True),
        ("respond-async, wait=5", None, True),
        ("handling=lenient", None, False),
    ],
)
def test_prefer(header, wait, at_once):
    manner = replicate.manner({"Prefer": header}, default_wait_s=30.0)
    assert (manner.wait_s, manner.at_once) == (wait, at_once)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("1m", 60), ("2h", 7200), ("50ms", 0.05), ("7d", 604800), ("1.5", 1.5)]
)
def test_cancel_after(text, seconds):
    assert replicate.manner({"Cancel-After": text}, default_wait_s=30.0).deadline_s == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "0", "-1s", "8d", "1e3s", "1 m", "٣s", "9" * 400])
def test_a_bad_cancel_after_is_refused(text):
    with pytest.raises(InvalidInput):
        replicate.manner({"Cancel-After": text}, default_wait_s=30.0)


def test_a_key_may_be_quoted():
    for text in ("a-key", '"a-key"', " a-key "):
        assert replicate.manner({"Idempotency-Key": text}, default_wait_s=30.0).idempotency_key == "a-key"


@pytest.mark.parametrize("text", ["", '""', "k" * 256, "a\x00b", "a\x7fb", "ключ"])
def test_a_bad_key_is_refused(text):
    with pytest.raises(BadKey):
        replicate.manner({"Idempotency-Key": text}, default_wait_s=30.0)


def test_a_version_id_alone_selects_the_model_in_either_form():
    identifier = uuid4()
    for version in (str(identifier), f"demo/iris:{identifier}"):
        wish = replicate.parse(json.dumps({"version": version, "input": {}}).encode())
        assert (wish.version_id, wish.model) == (identifier, None)


def test_the_path_names_the_model_alone():
    assert replicate.parse(b'{"input": {}}', model="demo/iris").model == "demo/iris"
    with pytest.raises(InvalidInput):
        replicate.parse(b'{"input": {}, "version": "3"}', model="demo/iris")
