"""After a few failures in a row nobody asks for a moment; then one tries for all."""

from __future__ import annotations

from monitoring.breaker import Breaker, Circuit


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def broken() -> tuple[Breaker, Clock]:
    clock = Clock()
    breaker = Breaker(failures=3, pause_s=1.0, clock=clock)
    assert [breaker.failed() for _ in range(3)] == [False, False, True]
    return breaker, clock


def test_failures_between_successes_do_not_open_it() -> None:
    breaker = Breaker(failures=3, pause_s=1.0, clock=Clock())
    for _ in range(10):
        breaker.failed()
        breaker.failed()
        assert breaker.succeeded() is False
    assert breaker.admits()


def test_after_failures_in_a_row_nobody_is_admitted_for_a_moment() -> None:
    breaker, clock = broken()
    assert not breaker.admits()
    clock.now += 0.99
    assert not breaker.admits()


def test_then_one_tries_for_all() -> None:
    breaker, clock = broken()
    clock.now += 1.0
    assert [breaker.admits() for _ in range(5)] == [True, False, False, False, False]
    assert breaker.succeeded() is True
    assert all(breaker.admits() for _ in range(5))


def test_a_try_that_fails_begins_another_pause_and_no_second_outage() -> None:
    breaker, clock = broken()
    clock.now += 1.0
    assert breaker.admits()
    assert breaker.failed() is False
    assert not breaker.admits()
    clock.now += 1.0
    assert breaker.admits()


def test_a_try_that_never_reports_does_not_close_the_door_for_ever() -> None:
    breaker, clock = broken()
    clock.now += 1.0
    assert breaker.admits()
    clock.now += 1.0
    assert breaker.admits()


def test_where_a_prober_asks_no_caller_tries() -> None:
    clock = Clock()
    breaker = Breaker(failures=2, pause_s=1.0, probed=True, clock=clock)
    breaker.failed()
    assert breaker.admits()
    breaker.failed()
    clock.now += 60.0
    assert not breaker.admits()
    assert breaker.succeeded() is True
    assert breaker.admits()


def test_it_says_what_it_does_with_callers_and_until_when() -> None:
    breaker, clock = broken()
    assert breaker.circuit() is Circuit.OPEN
    assert breaker.retry_after() == 1.0
    clock.now += 1.0
    breaker.admits()
    assert breaker.circuit() is Circuit.TRYING
    breaker.succeeded()
    assert breaker.circuit() is Circuit.CLOSED
    assert breaker.retry_after() == 0.0


def test_each_failed_try_doubles_the_pause_up_to_the_longest():
    clock = Clock()
    breaker = Breaker(failures=2, pause_s=1.0, longest_pause_s=3.0, clock=clock)
    pauses = []
    for _ in range(6):
        breaker.failed()
        pauses.append(breaker.retry_after())
        clock.now += breaker.retry_after()
        assert breaker.admits()
    assert pauses == [0.0, 1.0, 2.0, 3.0, 3.0, 3.0]
    assert breaker.succeeded() is True
    breaker.failed()
    breaker.failed()
    assert breaker.retry_after() == 1.0
