"""Calls of a service that is away are refused at once; a prober's word opens and closes the circuit for all."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from weakref import WeakSet

import pytest

from monitoring import guards, health, metrics, probing
from monitoring.breaker import Breaker, Circuit
from monitoring.guards import Guard
from monitoring.health import Part, State
from monitoring.probing import Prober


class Away(Exception):
    """What callers of this service see while it is away."""


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test with guards and parts of its own: the process has those of its services too."""
    monkeypatch.setattr(health, "_parts", dict(health._parts))
    monkeypatch.setattr(guards, "_guards", WeakSet())


def guard(**options: object) -> Guard:
    return Guard("redis", refusal=Away, is_failure=lambda error: isinstance(error, OSError), **options)  # type: ignore[arg-type]


def fail(one: Guard, error: Exception) -> None:
    with pytest.raises(type(error)), one.call():
        raise error


def test_after_failures_in_a_row_callers_are_refused_at_once_and_counted() -> None:
    one = guard()
    opened, refused = (
        metrics.value(metrics.CIRCUIT_OPENED, ("redis",)),
        metrics.value(metrics.CIRCUIT_REFUSALS, ("redis",)),
    )
    for _ in range(guards.FAILURES):
        fail(one, ConnectionError("refused"))
    with pytest.raises(Away, match="redis does not answer"), one.call():
        raise AssertionError("nobody gets here")
    assert metrics.value(metrics.CIRCUIT_OPENED, ("redis",)) == opened + 1
    assert metrics.value(metrics.CIRCUIT_REFUSALS, ("redis",)) == refused + 1
    assert guards.circuits()["redis",] == Circuit.OPEN.value


def test_an_answer_that_is_an_error_is_an_answer() -> None:
    one = guard()
    for _ in range(10):
        fail(one, ValueError("wrong type"))
    with one.call():
        pass
    assert one.breaker.circuit() is Circuit.CLOSED


def test_where_a_prober_asks_its_word_alone_counts() -> None:
    one = guard()
    one.breaker.probed = True
    for _ in range(10):
        fail(one, TimeoutError("a slow search"))
    assert one.breaker.circuit() is Circuit.CLOSED
    for _ in range(guards.FAILURES):
        one.failed(TimeoutError("no answer"))
    with pytest.raises(Away), one.call():
        pass
    with guards.probing(), one.call():
        pass
    assert one.breaker.circuit() is Circuit.OPEN, "a guard that the question goes through is told by the prober"
    one.succeeded()
    assert one.breaker.circuit() is Circuit.CLOSED


def test_of_several_circuits_of_a_service_the_most_open_is_shown() -> None:
    first, second = guard(place="a"), guard(place="b", breaker=Breaker(failures=1))
    second.failed(OSError())
    assert guards.circuits() == {("redis",): Circuit.OPEN.value}
    second.succeeded()
    assert guards.circuits() == {("redis",): Circuit.CLOSED.value}
    assert first.breaker.circuit() is Circuit.CLOSED


class Service:
    """Answers, refuses, or hangs until it is let go."""

    def __init__(self) -> None:
        self.is_there = True
        self.hangs = threading.Event()
        self.go = threading.Event()

    def ask(self) -> Part:
        if self.hangs.is_set():
            self.go.wait(5)
        if not self.is_there:
            raise ConnectionError("refused")
        return Part(State.OK, "here")


def until(prober: Prober, state: State) -> None:
    end = time.monotonic() + 5
    while prober.part().state is not state:
        assert time.monotonic() < end, prober.part()
        time.sleep(0.01)


def test_a_prober_opens_the_circuit_closes_it_and_tells_health_without_a_wait() -> None:
    service, one = Service(), guard()
    prober = Prober("somewhere", service.ask, guarded=(one,))
    prober.start()
    try:
        until(prober, State.OK)
        assert health.report()["parts"]["somewhere"] == {"state": "ok", "detail": "here"}
        service.is_there = False
        until(prober, State.DOWN)
        end = time.monotonic() + 5
        while one.breaker.circuit() is not Circuit.OPEN:
            assert time.monotonic() < end
            time.sleep(0.01)
        with pytest.raises(Away), one.call():
            pass
        service.is_there = True
        until(prober, State.OK)
        with one.call():
            pass
    finally:
        prober.stop(5)
    assert not one.breaker.probed


def test_while_its_thread_asks_nobody_else_does_and_the_first_answer_is_waited_for() -> None:
    asking: list[int] = []
    go = threading.Event()

    def ask() -> Part:
        asking.append(threading.get_ident())
        go.wait(5)
        return Part(State.OK, "here")

    prober = Prober("somewhere", ask)
    prober.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            found = [pool.submit(prober.part) for _ in range(4)]
            go.set()
            assert {one.result(5).state for one in found} == {State.OK}
        assert len(set(asking)) == 1
    finally:
        prober.stop(5)


def test_a_service_that_hangs_is_down_before_its_question_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "LIMIT_S", 0.1)
    service = Service()
    prober = Prober("somewhere", service.ask)
    prober.start()
    try:
        until(prober, State.OK)
        service.hangs.set()
        until(prober, State.DOWN)
        assert "no answer within" in prober.part().detail
        service.hangs.clear()
        service.go.set()
        until(prober, State.OK)
    finally:
        prober.stop(5)
