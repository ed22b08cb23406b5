"""Celery workers as threads: each consumes its own queue only, and all of them stop when asked to."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator

import pytest
from celery import shared_task

from serving_site.celery import CeleryThread, app

QUEUES = ("predictions.default.interactive", "predictions.default.bulk", "operations")
seen: queue.Queue[tuple[str, str]] = queue.Queue()
holding = threading.Event()


@shared_task(name="tests.where_am_i", ignore_result=True)
def where_am_i(sent_to: str) -> None:
    seen.put((sent_to, threading.current_thread().name))


@shared_task(name="tests.hold", ignore_result=True)
def hold() -> None:
    seen.put(("hold", "begun"))
    holding.wait(20)
    seen.put(("hold", "ended"))


@pytest.fixture
def workers() -> Iterator[list[CeleryThread]]:
    started = [CeleryThread(name, concurrency=1) for name in QUEUES]
    for worker in started:
        worker.start()
    yield started
    holding.set()
    for worker in started:
        worker.stop(10)
    holding.clear()
    while not seen.empty():
        seen.get()


def test_every_queue_has_a_worker_of_its_own(workers: list[CeleryThread]) -> None:
    for name in QUEUES * 3:
        app.send_task("tests.where_am_i", (name,), queue=name)
    found = [seen.get(timeout=10) for _ in range(9)]
    threads = {name: {thread for sent_to, thread in found if sent_to == name} for name in QUEUES}
    # Workers of other tests may serve the same queues beside these: what counts is that none serves two.
    assert all(threads.values())
    assert sum(len(of_queue) for of_queue in threads.values()) == len(set.union(*threads.values()))


def test_an_interactive_message_does_not_wait_behind_a_bulk_one(workers: list[CeleryThread]) -> None:
    app.send_task("tests.hold", queue="predictions.default.bulk")
    assert seen.get(timeout=10) == ("hold", "begun")
    app.send_task("tests.where_am_i", ("x",), queue="predictions.default.interactive")
    assert seen.get(timeout=10)[0] == "x"


def test_stopping_lets_the_running_task_end(workers: list[CeleryThread]) -> None:
    app.send_task("tests.hold", queue="operations")
    assert seen.get(timeout=10) == ("hold", "begun")
    threading.Timer(0.5, holding.set).start()
    begun = time.monotonic()
    for worker in workers:
        worker.stop(10)
    assert seen.get(timeout=1) == ("hold", "ended")
    assert time.monotonic() - begun < 8
