"""While one call runs the next callers gather; nobody is lost, and nobody waits without need."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from models_registry import errors
from models_registry.runtime.coalescer import Coalescer, ThreadedCoalescer
from tests.waiting import eventually


def in_threads(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Run `work(0..count-1)` at the same moment; return what each returned or raised."""
    outcomes: list[Any] = [None] * count
    barrier = threading.Barrier(count)

    def run(number: int) -> None:
        barrier.wait()
        try:
            outcomes[number] = work(number)
        except BaseException as error:
            outcomes[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    return outcomes


class Gate:
    """Work that waits to be let through, and remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.open = threading.Event()
        self.entered = threading.Event()

    def __call__(self, items: list[Any]) -> list[Any]:
        self.batches.append(items)
        self.entered.set()
        assert self.open.wait(10)
        return [item * 2 for item in items]


def start(work: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_idle_coalescer_runs_the_item_in_the_callers_own_thread() -> None:
    coalescer = Coalescer(lambda items: [threading.get_ident()] * len(items), max_items=8, max_bytes=100, name="test")
    assert coalescer.submit(1) == threading.get_ident()


def test_eight_threads_get_each_their_own_outcome() -> None:
    running = threading.Lock()

    def work(items: list[int]) -> list[int]:
        assert running.acquire(blocking=False), "two runs at once"
        time.sleep(0.0005)
        running.release()
        return [item * 2 for item in items]

    coalescer = Coalescer(work, max_items=4, max_bytes=10**6, name="test")
    outcomes = in_threads(8, lambda number: [coalescer.submit(number * 1000 + turn) for turn in range(200)])
    assert outcomes == [[2 * (number * 1000 + turn) for turn in range(200)] for number in range(8)]


def test_callers_gather_while_a_run_is_under_way() -> None:
    gate = Gate()
    coalescer = Coalescer(gate, max_items=16, max_bytes=100, name="test")
    first = start(lambda: coalescer.submit(0))
    gate.entered.wait(10)
    others = [start(lambda number=number: coalescer.submit(number)) for number in range(1, 6)]
    eventually(lambda: coalescer.waiting() == 5)
    gate.open.set()
    for thread in [first, *others]:
        thread.join(10)
    assert gate.batches[0] == [0]
    assert sorted(gate.batches[1]) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("items", "size", "largest"), [(2, 0, 2), (100, 40, 2)])
def test_a_run_is_bounded_in_items_and_bytes(items: int, size: int, largest: int) -> None:
    gate = Gate()
    coalescer = Coalescer(gate, max_items=items, max_bytes=100, name="test")
    first = start(lambda: coalescer.submit(0))
    gate.entered.wait(10)
    others = [start(lambda: coalescer.submit(1, size)) for _ in range(5)]
    eventually(lambda: coalescer.waiting() == 5)
    gate.open.set()
    for thread in [first, *others]:
        thread.join(10)
    assert max(len(batch) for batch in gate.batches) == largest
    assert sum(len(batch) for batch in gate.batches) == 6


def test_an_item_larger_than_the_bound_goes_alone() -> None:
    coalescer = Coalescer(lambda items: items, max_items=8, max_bytes=10, name="test")
    assert coalescer.submit("large", 1000) == "large"


def test_one_items_error_is_raised_in_its_caller_alone() -> None:
    def work(items: list[int]) -> list[Any]:
        return [ValueError(str(item)) if item % 2 else item for item in items]

    coalescer = Coalescer(work, max_items=8, max_bytes=100, name="test")
    outcomes = in_threads(8, coalescer.submit)
    assert [outcome for outcome in outcomes if isinstance(outcome, int)] == [0, 2, 4, 6]
    assert [str(outcome) for outcome in outcomes if isinstance(outcome, ValueError)] == ["1", "3", "5", "7"]


def test_a_failed_run_is_seen_by_its_callers_and_the_next_run_works() -> None:
    failing = [True]

    def work(items: list[int]) -> list[int]:
        if failing:
            failing.clear()
            raise OSError("the database is away")
        return items

    coalescer = Coalescer(work, max_items=8, max_bytes=100, name="test")
    with pytest.raises(OSError, match="away"):
        coalescer.submit(1)
    assert coalescer.submit(2) == 2


def test_missing_outcomes_are_an_error_and_no_mix_up() -> None:
    coalescer = Coalescer(lambda items: [], max_items=8, max_bytes=100, name="test")
    with pytest.raises(RuntimeError, match="1 items went in, 0 outcomes"):
        coalescer.submit(1)


def test_a_caller_that_gave_up_is_skipped_and_the_others_are_answered() -> None:
    gate = Gate()
    coalescer = Coalescer(gate, max_items=16, max_bytes=100, name="test")
    first = start(lambda: coalescer.submit(0))
    gate.entered.wait(10)
    with pytest.raises(TimeoutError):
        coalescer.submit(13, timeout=0.02)
    last = start(lambda: coalescer.submit(1))
    eventually(lambda: coalescer.waiting() == 2)
    gate.open.set()
    first.join(10)
    last.join(10)
    assert gate.batches == [[0], [1]]


def test_too_many_waiting_callers_are_refused_at_once() -> None:
    gate = Gate()
    coalescer = Coalescer(gate, max_items=1, max_bytes=100, name="test", max_waiting=1)
    threads = [start(lambda: coalescer.submit(0))]
    gate.entered.wait(10)
    threads.append(start(lambda: coalescer.submit(1)))
    eventually(lambda: coalescer.waiting() == 1)
    with pytest.raises(errors.Unavailable) as refused:
        coalescer.submit(2)
    assert refused.value.retry_after == 1
    gate.open.set()
    for thread in threads:
        thread.join(10)


def test_impatient_callers_never_hang_nor_get_anothers_outcome() -> None:
    coalescer = Coalescer(
        lambda items: (time.sleep(0.001), [item * 2 for item in items])[1], max_items=3, max_bytes=100, name="test"
    )

    def work(number: int) -> bool:
        for turn in range(300):
            item = number * 1000 + turn
            try:
                if coalescer.submit(item, timeout=0.002 * (turn % 3)) != item * 2:
                    return False
            except TimeoutError:
                pass
        return True

    assert in_threads(8, work) == [True] * 8
    assert coalescer.submit(7) == 14


def test_a_caller_of_a_threaded_coalescer_leaves_at_its_time_though_the_work_hangs():
    hang, runs = threading.Event(), []

    def work(items):
        runs.append(items)
        assert hang.wait(10)
        return items

    gathered = ThreadedCoalescer(work, max_items=10, max_bytes=10, name="hanging")
    for _ in range(2):
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            gathered.submit("late", timeout=0.2)
        assert time.monotonic() - began < 1
    hang.set()
    assert gathered.submit("after", timeout=5) == "after"
    assert ["late"] in runs
    assert sum("late" in items for items in runs) == 1, "who gave up before its run is skipped"


def test_a_threaded_coalescer_gathers_and_fails_one_by_one():
    def work(items):
        time.sleep(0.05)
        return [ValueError(item) if item == 3 else item * 2 for item in items]

    gathered = ThreadedCoalescer(work, max_items=10, max_bytes=100, name="doubling")
    answers: dict[int, object] = {}

    def ask(item):
        try:
            answers[item] = gathered.submit(item, timeout=5)
        except ValueError as error:
            answers[item] = str(error)

    threads = [threading.Thread(target=ask, args=(item,)) for item in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert answers == {**{item: item * 2 for item in range(8)}, 3: "3"}


class Told:
    """What was told to whom, in the order of telling."""

    def __init__(self) -> None:
        self.outcomes: list[tuple[int, Any]] = []

    def by(self, item: int) -> Callable[[Any], None]:
        return lambda outcome: self.outcomes.append((item, outcome))


def test_whoever_hands_an_item_over_goes_on_and_is_told_the_outcome() -> None:
    gate, told = Gate(), Told()
    coalescer: ThreadedCoalescer[int, int] = ThreadedCoalescer(gate, max_items=8, max_bytes=100, name="test")
    for item in range(3):
        coalescer.hand(item, told.by(item))
    assert gate.entered.wait(5)
    assert not told.outcomes
    gate.open.set()
    eventually(lambda: len(told.outcomes) == 3)
    assert sorted(told.outcomes) == [(0, 0), (1, 2), (2, 4)]


def test_failures_are_told_too_and_end_nothing() -> None:
    def work(items: list[int]) -> list[int | BaseException]:
        return [ValueError(str(item)) if item < 0 else item for item in items]

    told = Told()
    coalescer: ThreadedCoalescer[int, int] = ThreadedCoalescer(work, max_items=1, max_bytes=100, name="test")
    coalescer.hand(-1, told.by(-1))
    coalescer.hand(5, lambda outcome: told.missing())  # type: ignore[attr-defined]
    coalescer.hand(7, told.by(7))
    eventually(lambda: len(told.outcomes) == 2)
    assert isinstance(told.outcomes[0][1], ValueError)
    assert told.outcomes[1] == (7, 7)


def test_who_is_told_too_late_is_told_so_once_at_its_own_time() -> None:
    gate, told = Gate(), Told()
    coalescer: ThreadedCoalescer[int, int] = ThreadedCoalescer(gate, max_items=1, max_bytes=100, name="test")
    coalescer.hand(1, told.by(1), timeout=0)
    assert gate.entered.wait(5)
    coalescer.hand(2, told.by(2), timeout=0)
    coalescer.hand(3, told.by(3), timeout=30)
    coalescer.give_up_late()
    coalescer.give_up_late()
    assert [(item, type(outcome)) for item, outcome in told.outcomes] == [(1, TimeoutError), (2, TimeoutError)]
    gate.open.set()
    eventually(lambda: len(told.outcomes) == 3)
    assert told.outcomes[2] == (3, 6)
    assert gate.batches == [[1], [3]]


def test_too_many_are_not_taken() -> None:
    gate, told = Gate(), Told()
    coalescer: ThreadedCoalescer[int, int] = ThreadedCoalescer(
        gate, max_items=1, max_bytes=100, name="test", max_waiting=1
    )
    coalescer.hand(1, told.by(1))
    assert gate.entered.wait(5)
    coalescer.hand(2, told.by(2))
    with pytest.raises(errors.Unavailable):
        coalescer.hand(3, told.by(3))
    gate.open.set()
    eventually(lambda: sorted(told.outcomes) == [(1, 2), (2, 4)])
