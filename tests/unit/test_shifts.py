"""Few threads move at a time; nobody who waits keeps anybody out."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from predictions.shifts import Shifts
from tests.waiting import eventually


class Pool:
    """Threads that take calls from a queue, as Granian's do: as many as there are, whoever is free."""

    def __init__(self, shifts: Shifts, threads: int) -> None:
        self._turns, self._calls = shifts, queue.SimpleQueue[Callable[[], None] | None]()
        self._lock, self._inside = threading.Lock(), 0
        self.most = 0
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def call(self, work: Callable[[], None]) -> None:
        self._calls.put(work)

    def _work(self) -> None:
        while (work := self._calls.get()) is not None:
            self._turns.begin()
            with self._lock:
                self._inside += 1
                self.most = max(self.most, self._inside)
            work()
            with self._lock:
                self._inside -= 1
            self._turns.end()

    def close(self) -> None:
        for _ in self._threads:
            self._calls.put(None)


@pytest.fixture
def shifts() -> Shifts:
    return Shifts(moving=2)


@pytest.fixture
def pool(shifts: Shifts) -> Iterator[Pool]:
    pool = Pool(shifts, threads=24)
    yield pool
    shifts.moving = 1000
    shifts.look()
    pool.close()


def burst(pool: Pool, calls: int = 300) -> None:
    """So many calls at once, each long enough to meet others; returns when all are done."""
    done = threading.Semaphore(0)

    def work() -> None:
        time.sleep(0.001)
        done.release()

    for _ in range(calls):
        pool.call(work)
    for _ in range(calls):
        assert done.acquire(timeout=10)


def is_answered(pool: Pool, within: float) -> bool:
    done = threading.Event()
    pool.call(done.set)
    return done.wait(within)


def test_after_a_burst_only_as_many_threads_go_on_as_may_move(shifts: Shifts, pool: Pool) -> None:
    burst(pool)
    eventually(lambda: shifts.resting == 22)
    pool.most = 0
    burst(pool)
    assert pool.most == 2
    assert shifts.resting == 22


def test_a_thread_that_waits_is_replaced_and_the_surplus_rests_again(shifts: Shifts, pool: Pool) -> None:
    burst(pool)
    gate = threading.Event()
    for _ in range(2):
        pool.call(lambda: gate.wait(10) and None)
    assert not is_answered(pool, 0.05), "both that were awake wait, and nobody has looked"
    eventually(lambda: shifts.look() and shifts.resting == 20)
    assert is_answered(pool, 5)
    gate.set()
    eventually(lambda: not shifts.look())
    burst(pool)
    eventually(lambda: shifts.resting == 22)


def test_as_many_may_wait_as_there_are_threads(shifts: Shifts, pool: Pool) -> None:
    burst(pool)
    gate, waiting = threading.Event(), threading.Semaphore(0)

    def work() -> None:
        waiting.release()
        gate.wait(10)

    for _ in range(24):
        pool.call(work)
    looks = 0
    while shifts.resting:
        shifts.look()
        looks += 1
        time.sleep(0.01)
        assert looks < 50
    for _ in range(24):
        assert waiting.acquire(timeout=5)
    assert looks < 12, "each look doubles them"
    gate.set()


def test_one_that_says_that_it_waits_is_replaced_without_a_look(shifts: Shifts, pool: Pool) -> None:
    burst(pool)
    gate = threading.Event()

    def work() -> None:
        shifts.wait()
        gate.wait(10)

    for _ in range(10):
        pool.call(work)
    assert is_answered(pool, 5)
    eventually(lambda: shifts.resting == 12)
    gate.set()
    eventually(lambda: not shifts.look())
    burst(pool)
    eventually(lambda: shifts.resting == 22)


def test_a_thread_of_no_call_waits_without_a_trace(shifts: Shifts) -> None:
    shifts.wait()
    assert shifts.resting == 0


def test_a_thread_whose_answer_is_not_sent_does_not_rest(shifts: Shifts) -> None:
    shifts.moving = 0
    shifts.begin()
    shifts.end(may_rest=False)
    assert shifts.resting == 0


def test_nobody_looks_without_reason_and_somebody_does_within_milliseconds_of_one() -> None:
    shifts = Shifts(moving=1)
    threading.Thread(target=shifts.watch, daemon=True).start()
    pool = Pool(shifts, threads=4)
    try:
        burst(pool, 50)
        eventually(lambda: shifts.resting == 3 and not shifts.is_watched)
        gate = threading.Event()
        pool.call(lambda: gate.wait(10) and None)
        assert is_answered(pool, 5), "the only thread that was awake waits"
        gate.set()
        eventually(lambda: not shifts.is_watched)
    finally:
        shifts.moving = 1000
        shifts.look()
        pool.close()
