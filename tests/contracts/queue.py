"""The queue's contract, on the memory transport and on RabbitMQ: what a nudge may rely on, and what it may not."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from kombu import Consumer

from serving_site import topology
from tests.waiting import eventually

QUEUE = "predictions.default.standard"


class Reader:
    """A consumer that a test drives: takes messages and acknowledges only when told."""

    def __init__(self, app: Celery, queue: Any) -> None:
        self.connection = app.connection_for_read()
        self.taken: list[Any] = []
        self._consumer = Consumer(
            self.connection.channel(), [queue], on_message=self.taken.append, prefetch_count=1, accept=["json"]
        )
        self._consumer.consume()

    def drain(self, seconds: float = 0.3) -> list[Any]:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                self.connection.drain_events(timeout=0.05)
            except TimeoutError:
                continue
        return self.taken

    def lose(self) -> None:
        """As a worker that is gone: what it had and did not acknowledge goes back."""
        self.connection.close()


class QueueContract:
    """The subclass gives `self.app`, a Celery app on a broker where nothing waits, and `self.queue()`."""

    app: Celery

    def queue(self, name: str = QUEUE) -> Any:
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _lose_readers(self, _open: None) -> Iterator[None]:
        # One that stays would be given the next test's message.
        self._readers: list[Reader] = []
        yield
        for reader in self._readers:
            reader.lose()

    def read(self, queue: Any = None) -> Reader:
        reader = Reader(self.app, queue or self.queue())
        self._readers.append(reader)
        return reader

    def send(self, *ids: str, queue: str = QUEUE) -> None:
        self.app.send_task("predictions.run", args=(1, list(ids)), queue=queue, retry=False)

    def test_what_is_sent_is_received_once_and_gone_after_its_acknowledgement(self):
        reader = self.read()
        self.send("a")
        [message] = eventually(lambda: reader.drain(0.1))
        assert message.decode()[0] == [1, ["a"]]
        message.ack()
        assert len(reader.drain()) == 1
        reader.lose()
        assert self.read().drain() == []

    def test_a_worker_holds_one_message_and_leaves_the_rest_to_others(self):
        first, second = self.read(), self.read()
        self.send("a")
        self.send("b")
        eventually(lambda: first.drain(0.1) or second.drain(0.1))
        eventually(lambda: first.drain(0.1) and second.drain(0.1))
        assert len(first.taken) == len(second.taken) == 1
        for reader in (first, second):
            reader.taken[0].ack()

    def test_priorities_do_not_wait_behind_each_other(self):
        for _ in range(20):
            self.send("bulk", queue="predictions.default.bulk")
        self.send("now", queue="predictions.default.interactive")
        reader = self.read(self.queue("predictions.default.interactive"))
        [message] = eventually(lambda: reader.drain(0.1))
        assert message.decode()[0] == [1, ["now"]]
        message.ack()

    def test_a_hint_never_raises_into_the_request_nor_holds_it_up(self, monkeypatch):
        from predictions.queued import nudges

        def refuse(_: nudges.Message) -> None:
            time.sleep(0.2)
            raise ConnectionError("the broker is away")

        publisher = nudges.Publisher(refuse)
        publisher.start()
        began = time.monotonic()
        publisher.hint([a_nudge() for _ in range(100)])
        assert time.monotonic() - began < 0.05
        publisher.stop(2)
        assert publisher.dropped == 0, "they wait for the broker"

    def test_declaring_again_changes_nothing(self):
        self.send("a")
        threads = [threading.Thread(target=self.declare) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        reader = self.read()
        [message] = eventually(lambda: reader.drain(0.1))
        message.ack()

    def declare(self) -> None:
        with self.app.connection_for_write() as connection, connection.channel() as channel:
            self.queue()(channel).declare()


def a_nudge() -> Any:
    from monitoring.ids import mint
    from predictions.queued import nudges

    return nudges.Nudge(mint(), mint(), "default", "standard", rows=1, size=10)


def working_queues(*, embedded: bool) -> list[Any]:
    names = ["operations", *(f"predictions.default.{name}" for name in ("interactive", "standard", "bulk"))]
    return topology.queues(names, embedded=embedded)
