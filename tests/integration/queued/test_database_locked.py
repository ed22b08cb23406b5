"""A database that does not take a write in time: refused or unknown, never an error of ours."""

from __future__ import annotations

import threading
import time

import pytest
from django.db import connection

from monitoring import one_writer
from predictions.models import Prediction
from tests import cast
from tests.integration.queued.test_door import ONE


def test_the_leader_is_refused_and_the_others_learn_the_id(door, register, monkeypatch, settings):
    if connection.vendor != "sqlite":
        pytest.skip("only SQLite has one writer")
    register("adder", cast.adder())
    monkeypatch.setattr(one_writer, "WAIT_S", 1.0)
    settings.SERVING = settings.SERVING | {"REQUEST_LIMIT_S": 0.4}
    answers = []

    def post() -> None:
        answers.append((*door.call("POST", "/v1/predictions", ONE), time.monotonic()))
        connection.close()

    with one_writer._writer:
        threads = [threading.Thread(target=post) for _ in range(3)]
        for thread in threads:
            thread.start()
            time.sleep(0.05)
        for thread in threads:
            thread.join(10)
    codes = sorted(answer[1]["code"] for answer in answers)
    assert codes == ["outcome_unknown", "outcome_unknown", "unavailable"]
    assert {answer[0] for answer in answers} == {503}
    assert all(int(answer[2]["Retry-After"]) >= 1 for answer in answers)
    assert not Prediction.objects.exists()
    assert door.post("/v1/predictions", ONE)[0] == 201
