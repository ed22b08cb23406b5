"""A database that does not take a write in time: refused or unknown, never an error of ours."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection

from predictions.models import Prediction
from predictions.queued import submission
from serving_site.engines.sqlite3 import turns
from tests import cast
from tests.integration.queued.test_door import ONE
from tests.waiting import eventually


@contextmanager
def another_writes() -> Iterator[None]:
    held = turns.at(str(connection.settings_dict["NAME"]))
    assert held.take(5)
    try:
        yield
    finally:
        held.leave()


@pytest.fixture(autouse=True)
def _adder(register) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("only SQLite has one writer")
    register("adder", cast.adder())


def asked_at_once(door, count: int) -> list[tuple[int, Any, Any]]:
    answers: list[tuple[int, Any, Any]] = []

    def post() -> None:
        answers.append(door.call("POST", "/v1/predictions", ONE))
        connection.close()

    threads = [threading.Thread(target=post) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert {status for status, _, _ in answers} == {503}
    assert all(int(headers["Retry-After"]) >= 1 for _, _, headers in answers)
    return answers


def test_whoever_may_not_wait_so_long_leaves_with_the_id(door, monkeypatch, settings):
    monkeypatch.setattr(turns, "WAIT_S", 1.0)
    settings.SERVING = settings.SERVING | {"REQUEST_LIMIT_S": 0.4}
    with another_writes():
        codes = [shown["code"] for _, shown, _ in asked_at_once(door, 3)]
        eventually(lambda: not submission.COMMITTER._running)
    assert codes == ["outcome_unknown"] * 3
    assert not Prediction.objects.exists()
    assert door.post("/v1/predictions", ONE)[0] == 201


def test_when_no_turn_comes_the_requests_are_refused(door, monkeypatch):
    monkeypatch.setattr(turns, "WAIT_S", 0.3)
    with another_writes():
        codes = [shown["code"] for _, shown, _ in asked_at_once(door, 3)]
    assert codes == ["unavailable"] * 3
    assert not Prediction.objects.exists()
    assert door.post("/v1/predictions", ONE)[0] == 201
