"""Where the server can answer after a call, nobody waits for the commit; clients see no difference."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import OperationalError

from predictions import places
from predictions.models import Prediction
from predictions.queued import acceptance, submission
from tests import cast, doors
from tests.waiting import eventually

ONE = {"model": "adder", "input": {"instances": [[1, 2]]}}


@pytest.fixture(autouse=True)
def _adder(register) -> None:
    register("adder", cast.adder())


@pytest.fixture
def ask(door):
    def asked(body: Any = ONE, path: str = "/v1/predictions", **headers: str) -> tuple[bool, int, dict[str, str], Any]:
        sent = door._headers | {name.replace("_", "-"): value for name, value in headers.items()}
        data = json.dumps(body).encode()
        is_later, status, given, content = doors.call_later(
            door._application, path, data, {"Content-Type": "application/json", **sent}
        )
        eventually(lambda: places.DJANGO._free._value == places.DJANGO.size)
        return is_later, status, given, json.loads(content)

    return asked


def test_the_answer_is_the_one_that_a_waiting_call_gets(ask, door):
    is_later, status, given, shown = ask(X_Request_ID="mine")
    assert (is_later, status, shown["status"]) == (True, 201, "starting")
    assert str(Prediction.objects.get().id) == shown["id"] == given["x-prediction-id"]
    waited_status, waited, waited_given = door.call("POST", "/v1/predictions", ONE, X_Request_ID="mine")
    assert (waited_status, set(waited), set(waited["queue"])) == (status, set(shown), set(shown["queue"]))
    assert {name.lower() for name in waited_given} == set(given)
    assert given["x-request-id"] == waited_given["X-Request-ID"] == "mine"


def test_respond_async_is_202_later_too(ask):
    assert ask(Prefer="respond-async")[:2] == (True, 202)


@pytest.mark.parametrize("headers", [{"Idempotency-Key": "k"}, {"Prefer": "wait=1"}])
def test_a_call_that_has_to_read_or_to_wait_is_answered_within_itself(ask, headers):
    assert ask(**headers)[:2] == (False, 201)


def test_what_is_refused_before_the_commit_is_told(ask):
    assert ask({"model": "adder", "input": {"instances": [["x", 2]]}})[1] == 422
    assert ask({"model": "nothing", "input": {}})[1] == 404
    assert ask({"input": {}})[:2] == (False, 422)
    assert not Prediction.objects.exists()


def test_a_commit_that_fails_is_told(ask, monkeypatch):
    def fail(*_: Any) -> Any:
        raise OperationalError("away")

    monkeypatch.setattr(acceptance, "_sqlite_insert", fail)
    is_later, status, given, shown = ask()
    assert (is_later, status, shown["code"]) == (True, 503, "unavailable")
    assert given["retry-after"] == "1"


def test_a_commit_that_takes_too_long_is_unknown(ask, monkeypatch):
    committer = submission.committer()
    monkeypatch.setattr(submission, "COMMITTER", committer)
    monkeypatch.setattr(committer, "_begin", lambda: None)  # its thread has no turn
    hand = committer.hand

    def hand_and_look(*given: Any, **named: Any) -> None:
        hand(*given, **{**named, "timeout": 0})
        committer.give_up_late()

    monkeypatch.setattr(committer, "hand", hand_and_look)
    is_later, status, _, shown = ask()
    assert (is_later, status, shown["code"]) == (True, 503, "outcome_unknown")
    assert not Prediction.objects.exists()
