"""Notes that are added up later: each once, by whoever reads or by the last of so many."""

from __future__ import annotations

import threading

from monitoring.tally import Tally


def test_what_was_noted_is_added_once_when_somebody_reads():
    seen: list[list[int]] = []
    tally: Tally[int] = Tally(seen.append)
    for number in range(5):
        tally.note(number)
    assert seen == []
    tally.settle()
    tally.settle()
    assert seen == [[0, 1, 2, 3, 4]]


def test_no_more_than_so_many_wait():
    seen: list[list[int]] = []
    tally: Tally[int] = Tally(seen.append, most=3)
    for number in range(7):
        tally.note(number)
    assert seen == [[0, 1, 2], [3, 4, 5]]


def test_threads_that_note_and_read_at_once_lose_and_repeat_nothing():
    seen: list[int] = []
    tally: Tally[int] = Tally(seen.extend, most=7)

    def work(begin: int) -> None:
        for number in range(begin, begin + 5000):
            tally.note(number)
            if number % 13 == 0:
                tally.settle()

    threads = [threading.Thread(target=work, args=(5000 * index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tally.settle()
    assert sorted(seen) == list(range(30_000))


def test_whoever_reads_waits_for_what_is_being_added():
    adding, go_on, added = threading.Event(), threading.Event(), []

    def add(notes: list[int]) -> None:
        adding.set()
        go_on.wait(10)
        added.extend(notes)

    tally: Tally[int] = Tally(add)
    tally.note(1)
    first = threading.Thread(target=tally.settle)
    first.start()
    adding.wait(10)
    second = threading.Thread(target=tally.settle)
    second.start()
    assert second.is_alive()
    assert added == []
    go_on.set()
    first.join()
    second.join()
    assert added == [1]
