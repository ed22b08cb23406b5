"""The recorder gives way to the calls of its own process, and stops to when the spool fills."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from monitoring.courtesy import BUSY_PER_S, FILLED, MOST_PAUSE_S, SHARE, Courtesy, Load


@dataclass
class Process:
    """What a process is said to do."""

    now: float = 100.0
    answered: int = 0
    filled: float = 0.0

    def courtesy(self) -> Courtesy:
        return Courtesy(Load(lambda: self.answered, lambda: self.filled), clock=lambda: self.now)

    def passes(self, seconds: float, *, calls: float) -> None:
        self.now += seconds
        self.answered += int(calls)


def test_work_takes_its_share_of_a_busy_process() -> None:
    process = Process()
    courtesy = process.courtesy()
    process.passes(0.1, calls=BUSY_PER_S)
    assert courtesy.look()
    pause = courtesy.pause_after(0.005)
    assert 0.005 / (0.005 + pause) == pytest.approx(SHARE)
    assert courtesy.pause_after(10.0) == MOST_PAUSE_S


def test_an_idle_process_is_worked_off_at_once() -> None:
    process = Process()
    courtesy = process.courtesy()
    process.passes(1.0, calls=BUSY_PER_S / 2)
    assert not courtesy.look()
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
