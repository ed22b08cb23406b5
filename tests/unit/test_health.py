"""Health tells the truth about every part, and tells it in time."""

from __future__ import annotations

import threading
import time

import pytest

from monitoring import health, parts
from monitoring.background import Ticker
from monitoring.health import Part, State


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    monkeypatch.setattr(health, "_parts", {})
    monkeypatch.setattr(health, "_draining", threading.Event())


OK = Part(State.OK)


def failing() -> Part:
    raise ConnectionError("refused")


def test_all_parts_well_is_ok():
    health.register("a", lambda: OK)
    health.register("b", lambda: Part(State.OK, "detail"), is_gate=True)
    report = health.report()
    assert (report["status"], report["ready"]) == ("ok", True)
    assert report["parts"]["b"] == {"state": "ok", "detail": "detail"}


def test_a_broken_part_degrades_by_name_and_keeps_the_process_ready():
    health.register("good", lambda: OK)
    health.register("bad", failing)
    report = health.report()
    assert (report["status"], report["ready"]) == ("degraded", True)
    assert report["parts"]["good"]["state"] == "ok"
    assert report["parts"]["bad"] == {"state": "down", "detail": "ConnectionError: refused"}


def test_a_gate_holds_until_it_was_passed_once_and_degrades_from_then_on():
    says = [Part(State.DOWN, "not yet"), OK, Part(State.DOWN, "gone")]
    health.register("snapshot", lambda: says.pop(0), is_gate=True)
    assert [health.report()[word] for word in ("status",)] == ["unavailable"]
    assert health.report()["ready"] is True
    report = health.report()
    assert (report["status"], report["ready"]) == ("degraded", True)


def test_a_gate_that_can_only_be_passed_halfway_does_not_hold_for_ever():
    health.register("models", lambda: Part(State.DEGRADED, "iris version 2 cannot be loaded"), is_gate=True)
    report = health.report()
    assert (report["status"], report["ready"]) == ("degraded", True)


def test_a_hanging_part_costs_one_second_and_one_thread_however_often_it_is_asked():
    release = threading.Event()
    health.register("frozen", lambda: release.wait(30) and OK)
    health.register("good", lambda: OK)
    before = threading.active_count()
    started = time.monotonic()
    reports = [health.report() for _ in range(2)]
    assert time.monotonic() - started < 2 * health.LIMIT_S + 0.5
    assert threading.active_count() <= before + 2
    for report in reports:
        assert report["parts"]["frozen"] == {"state": "down", "detail": "no answer within 1 s"}
        assert report["parts"]["good"]["state"] == "ok"
    release.set()
    time.sleep(0.05)
    assert health.report()["status"] == "ok"


def test_a_stopping_process_is_not_ready():
    health.register("good", lambda: OK)
    health.drain()
    report = health.report()
    assert (report["status"], report["ready"], report["draining"]) == ("unavailable", False, True)


def test_a_silent_thread_is_named(monkeypatch):
    monkeypatch.setattr(health, "SILENT_S", 0.1)
    ticker = Ticker("keeper of tests", 0.01, lambda: 1 / 0)
    ticker.start()
    try:
        time.sleep(0.3)
        part = parts.threads()
        assert part.state is State.DEGRADED
        assert "keeper of tests silent" in part.detail
        assert "ZeroDivisionError" in part.detail
    finally:
        ticker.stop(5)
    assert "keeper of tests" not in parts.threads().detail


def heard(name: str) -> bool | None:
    """The state once it was heard of, asked at most 100 times."""
    for _ in range(100):
        if (found := health.states().get(name)) is not None:
            return found
        time.sleep(0.01)
    return None


def test_states_tell_ok_from_degraded_and_never_wait():
    release = threading.Event()
    health.register("good", lambda: OK)
    health.register("half", lambda: Part(State.DEGRADED, "slow"))
    health.register("bad", failing)
    health.register("hanging", lambda: Part(State.OK, str(release.wait(30))))
    started = time.monotonic()
    assert health.states() == {}
    assert time.monotonic() - started < 0.5
    assert (heard("good"), heard("half"), heard("bad")) == (True, False, False)
    assert "hanging" not in health.states()
    time.sleep(health.LIMIT_S)
    assert health.states()["hanging"] is False
    release.set()


def test_states_ask_a_part_again_only_after_a_while(monkeypatch):
    asked: list[int] = []
    health.register("counted", lambda: asked.append(1) or OK)
    assert heard("counted")
    for _ in range(50):
        health.states()
    assert len(asked) == 1
    monkeypatch.setattr(health, "ASK_EVERY_S", 0.0)
    health.states()
    time.sleep(0.1)
    assert len(asked) == 2
