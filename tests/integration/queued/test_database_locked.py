"""A database that does not take a write in time: refused or unknown, never an error of ours."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection

from predictions.models import Prediction
from serving_site.engines.sqlite3 import turns
from tests import cast
from tests.integration.queued.test_door import ONE


@contextmanager
def another_writes() -> Iterator[None]:
    held = turns.at(str(connection.settings_dict["NAME"]))
    assert held.take(5)
    try:
        yield
    finally:
        held.leave()


def test_the_leader_is_refused_and_the_others_learn_the_id(door, register, monkeypatch, settings):
    if connection.vendor != "sqlite":
        pytest.skip("only SQLite has one writer")
    register("adder", cast.adder())
    monkeypatch.setattr(turns, "WAIT_S", 1.0)
    settings.SERVING = settings.SERVING | {"REQUEST_LIMIT_S": 0.4}
    answers = []

    def post() -> None:
        answers.append((*door.call("POST", "/v1/predictions", ONE), time.monotonic()))
        connection.close()

    with another_writes():
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
