"""Threads of our own go on after a failure, soon, and tell of it once."""

from __future__ import annotations

import logging
import time
from importlib import import_module

import pytest

from monitoring.background import Ticker

background = import_module("monitoring.background")  # the package has a function of that name


def test_rare_work_that_failed_is_tried_again_soon_and_its_outage_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(background, "AGAIN_S", 0.01)
    tries: list[float] = []

    def work() -> None:
        tries.append(time.monotonic())
        if len(tries) <= 5:
            raise ConnectionError("refused")

    ticker = Ticker("rare", 3600.0, work)
    with caplog.at_level(logging.ERROR, logger=background.__name__):
        ticker.start()
        try:
            end = time.monotonic() + 5
            while len(tries) < 6 or ticker.beat().error:
                assert time.monotonic() < end
                time.sleep(0.01)
            time.sleep(0.1)
        finally:
            ticker.stop(5)
    assert len(tries) == 6, "what succeeded waits for its own time"
    assert [record.getMessage() for record in caplog.records] == ["rare failed; it tries again"]


def test_another_failure_is_told_too(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(background, "AGAIN_S", 0.01)
    failures = iter([ConnectionError("refused"), ConnectionError("refused again"), ValueError("nonsense")])

    def work() -> None:
        raise next(failures)

    ticker = Ticker("mixed", 0.01, work)
    with caplog.at_level(logging.ERROR, logger=background.__name__):
        ticker.start()
        try:
            end = time.monotonic() + 5
            while "StopIteration" not in ticker.beat().error:
                assert time.monotonic() < end
                time.sleep(0.01)
        finally:
            ticker.stop(5)
    told = [type(record.exc_info[1]).__name__ for record in caplog.records if record.exc_info and record.exc_info[1]]
    assert told == ["ConnectionError", "ValueError", "StopIteration"]
