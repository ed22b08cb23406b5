"""What the recorder's process does goes into idle time, unless the spool fills or a lock would be held for long."""

from __future__ import annotations

import os
import time

import pytest

from monitoring import idle_time
from monitoring.courtesy import FILLED
from monitoring.idle_time import PIECE, IdleTime

pytestmark = pytest.mark.skipif(not idle_time.exists(), reason="this system has no such scheduling class")


def scheduling() -> int:
    return os.sched_getscheduler(0)


def test_reading_and_writing_take_idle_time_only() -> None:
    idle = IdleTime(lambda: 0.0)
    assert idle.batch(500) == PIECE
    assert not idle.hurries()
    assert (idle.read(scheduling), idle.write(scheduling)) == (os.SCHED_IDLE, os.SCHED_IDLE)
    assert scheduling() != os.SCHED_IDLE


def test_a_spool_that_fills_is_worked_off_like_any_work() -> None:
    idle = IdleTime(lambda: FILLED)
    assert idle.batch(500) == 500
    assert idle.hurries()
    assert (idle.read(scheduling), idle.write(scheduling)) == (scheduling(), scheduling())


def test_what_may_hold_a_lock_does_not_wait_for_idle_time_where_there_is_none() -> None:
    idle = IdleTime(lambda: 0.0)
    idle.read(time.sleep, 0.1)
    assert idle.write(scheduling) == scheduling()
    while idle.is_starved:  # a busy machine may well starve this one too
        idle.read(sum, range(100_000))
    assert idle.write(scheduling) == os.SCHED_IDLE


def test_what_fails_there_fails_here() -> None:
    with pytest.raises(ZeroDivisionError):
        IdleTime(lambda: 0.0).read(divmod, 1, 0)
