"""The queued path from the request to the answer."""

from __future__ import annotations

import time
from typing import Any

import pytest

from predictions.models import Prediction
from tests import cast

ONE = {"model": "adder", "input": {"instances": [[1, 2]]}}


def ended(door: Any, identifier: str, *, within: float = 10.0) -> Any:
    end = time.monotonic() + within
    while time.monotonic() < end:
        _, shown = door.get(f"/v1/predictions/{identifier}")
        if shown["status"] not in ("starting", "processing"):
            return shown
        time.sleep(0.02)
    raise AssertionError(f"still {shown}")


@pytest.mark.usefixtures("workers")
def test_an_accepted_prediction_is_answered_later(door, register):
    version = register("adder", cast.adder(7))
    status, accepted = door.post("/v1/predictions", ONE)
    assert (status, accepted["status"]) == (201, "starting")
    shown = ended(door, accepted["id"])
    assert shown["output"] == {"value": [3.0], "version": [7]}
    assert (shown["version"], shown["digest"]) == (str(version.id), version.digest)


@pytest.mark.usefixtures("workers")
def test_a_waiting_request_gets_the_answer_itself(door, register):
    register("adder", cast.adder())
    status, shown = door.post("/v1/predictions", ONE, Prefer="wait")
    assert (status, shown["status"], shown["output"]["value"]) == (201, "succeeded", [3.0])
    assert Prediction.objects.get(id=shown["id"]).fence is None
