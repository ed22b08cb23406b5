"""The recorder gives way to calls of its own process and to others of its machine, until too much waits for it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from monitoring.courtesy import (
    BUSY_PER_S,
    CROWDED_PAUSE_S,
    FILLED,
    MOST_PAUSE_S,
    SHARE,
    Load,
    TowardsCalls,
    TowardsOthers,
)


@dataclass
class Process:
    """What a process is said to do."""

    now: float = 100.0
    answered: int = 0
    filled: float = 0.0

    def courtesy(self) -> TowardsCalls:
        return TowardsCalls(Load(lambda: self.answered, lambda: self.filled), clock=lambda: self.now)

    def passes(self, seconds: float, *, calls: float) -> None:
        self.now += seconds
        self.answered += int(calls)


def test_work_takes_its_share_of_a_busy_process() -> None:
    process = Process()
    courtesy = process.courtesy()
    process.passes(0.1, calls=BUSY_PER_S)
    assert courtesy.look()
    assert not courtesy.hurries()
    pause = courtesy.pause_after(0.005)
    assert 0.005 / (0.005 + pause) == pytest.approx(SHARE)
    assert courtesy.pause_after(10.0) == MOST_PAUSE_S


def test_an_idle_process_is_worked_off_at_once() -> None:
    process = Process()
    courtesy = process.courtesy()
    process.passes(1.0, calls=BUSY_PER_S / 2)
    assert not courtesy.look()
    assert courtesy.hurries()
    assert courtesy.pause_after(1.0) == 0.0


def test_the_end_of_a_rush_is_noticed() -> None:
    process = Process()
    courtesy = process.courtesy()
    process.passes(0.1, calls=BUSY_PER_S)
    assert courtesy.look()
    process.passes(0.1, calls=0)
    assert not courtesy.look()


def test_a_spool_that_fills_is_worked_off_whoever_calls() -> None:
    process = Process(filled=FILLED)
    courtesy = process.courtesy()
    process.passes(0.1, calls=BUSY_PER_S)
    assert not courtesy.look()


def test_two_looks_right_behind_each_other_are_one() -> None:
    process = Process()
    courtesy = process.courtesy()
    process.passes(0.1, calls=BUSY_PER_S)
    assert courtesy.look()
    process.passes(0.001, calls=0)
    assert courtesy.look()


@dataclass
class Thread:
    """How long a thread is said to have waited for a processor, and how much waits for it."""

    waited_s: float = 5.0
    filled: float = 0.0

    def pause_after(self, cpu_s: float, *, waiting_s: float) -> float:
        courtesy = TowardsOthers(lambda: self.filled, waited_s=lambda: self.waited_s)
        assert courtesy.batch(500) == 500
        self.waited_s += waiting_s
        return courtesy.pause_after(cpu_s)


def test_on_a_crowded_machine_a_large_batch_is_followed_by_a_long_pause_and_a_small_one_by_a_short_one() -> None:
    assert Thread().pause_after(0.06, waiting_s=0.1) == CROWDED_PAUSE_S
    assert 0 < Thread().pause_after(0.001, waiting_s=0.1) < 0.1


def test_where_processors_are_free_nobody_pauses() -> None:
    assert Thread().pause_after(0.06, waiting_s=0.001) == 0.0


def test_when_much_is_owed_nobody_pauses_on_a_crowded_machine_either() -> None:
    assert Thread(filled=FILLED).pause_after(0.06, waiting_s=0.1) == 0.0


@pytest.mark.parametrize(("waiting_s", "filled", "hurries"), [(0.1, 0.0, False), (0.1, FILLED, True), (0.0, 0.0, True)])
def test_on_a_crowded_machine_one_piece_is_under_way_at_a_time(waiting_s: float, filled: float, hurries: bool) -> None:
    thread = Thread(filled=filled)
    courtesy = TowardsOthers(lambda: thread.filled, waited_s=lambda: thread.waited_s)
    assert courtesy.hurries()
    courtesy.batch(500)
    thread.waited_s += waiting_s
    courtesy.pause_after(0.01)
    assert courtesy.hurries() is hurries


def test_this_threads_own_waiting_is_read_from_the_kernel() -> None:
    TowardsOthers(lambda: 0.0).batch(500)
    assert TowardsOthers(lambda: 0.0).pause_after(1e6) == 0.0
