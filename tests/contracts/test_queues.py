"""Queues against their contract: the memory transport as we use it and a real RabbitMQ; and what only that shows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from celery import Celery
from kombu import pools
from kombu.exceptions import OperationalError

from monitoring import metrics
from monitoring.ids import mint
from predictions.queued import nudges, tasks
from serving_site import dead_letters, memory_transport, topology
from serving_site.celery import App
from serving_site.celery import app as our_app
from tests.contracts.queue import QUEUE, QueueContract, a_nudge, working_queues
from tests.services import freeze, thaw
from tests.waiting import eventually

EXCHANGE = {
    "task_default_queue": "operations",
    "task_default_exchange": "serving",
    "task_default_exchange_type": "topic",
    "task_default_routing_key": "operations",
    "task_create_missing_queues": False,
}


class TestMemory(QueueContract):
    @pytest.fixture(autouse=True)
    def _open(self) -> Iterator[None]:
        self.app = Celery("memory", set_as_current=False, broker="memory://")
        self.app.conf.update(
            **EXCHANGE,
            broker_transport="serving_site.memory_transport:Transport",
            task_queues=working_queues(embedded=True),
        )
        memory_transport.ARRIVALS.close(False)
        _empty()
        for one in self.app.conf.task_queues:
            with self.app.connection_for_write() as connection, connection.channel() as channel:
                one(channel).declare()
        yield
        _empty()

    def queue(self, name: str = QUEUE) -> Any:
        return next(one for one in self.app.conf.task_queues if one.name == name)


def _empty() -> None:
    for waiting in memory_transport.Channel.queues.values():
        waiting.queue.clear()


class TestRabbitMQ(QueueContract):
    @pytest.fixture(autouse=True)
    def _open(self, rabbitmq_server: Any) -> Iterator[None]:
        self.url = rabbitmq_server.url
        self.app = rabbit_app(self.url)
        with self.app.connection_for_write() as connection:
            topology.declare(connection, self.app.conf.task_queues)
        self._purge()
        yield
        self._purge()
        self.app.close()
        # kombu keeps pools by address for the whole process: the next app would be handed this closed one.
        pools.reset()

    def queue(self, name: str = QUEUE) -> Any:
        return next(one for one in self.app.conf.task_queues if one.name == name)

    def _purge(self) -> None:
        with self.app.connection_for_write() as connection, connection.channel() as channel:
            for one in (*self.app.conf.task_queues, *topology.leftovers()):
                one(channel).purge()

    def test_what_a_lost_worker_did_not_acknowledge_comes_again(self):
        first = self.read()
        self.send("a")
        eventually(lambda: first.drain(0.1))
        first.lose()
        second = self.read()
        [message] = eventually(lambda: second.drain(0.1))
        assert message.decode()[0] == [1, ["a"]]
        message.ack()
        second.lose()

    def test_a_full_queue_refuses_at_once(self):
        with self.full() as queue:
            refused = 0
            for _ in range(12):
                try:
                    self.send("a", queue=queue)
                except OperationalError as error:
                    refused += str(error) == ""
        assert refused >= 6

    def test_a_nudge_for_a_full_queue_is_not_taken_and_the_next_ones_are_sent_again(self, settings):
        settings.EMBEDDED = False
        self.app.set_current()
        try:
            with self.full() as queue, pytest.raises(nudges.NotTaken, match="takes no more"):
                self.nudge_often(queue)
            reader, sent = self.read(), nudges.Message(QUEUE, mint(), (mint(),))
            tasks.send(sent)
            [message] = eventually(lambda: reader.drain(0.1))
        finally:
            tasks._SENDER.close()
            our_app.set_current()
        assert message.decode()[0] == [1, [sent.ids[0].hex]]

    def nudge_often(self, queue: str) -> None:
        for _ in range(12):
            tasks.send(nudges.Message(queue, mint(), (mint(),)))

    @contextmanager
    def full(self) -> Iterator[str]:
        """The name of a queue that takes three messages or a few more."""
        [full] = topology.queues(["predictions.test.full"], embedded=False)
        full.queue_arguments = {**full.queue_arguments, "x-max-length": 3}
        self.app.amqp.queues.add(full)
        with self.app.connection_for_write() as connection, connection.channel() as channel:
            full(channel).declare()
            yield full.name
            full(channel).delete()

    def test_ids_are_sent_as_any_task_is(self):
        self.send("a")
        with self.app.connection_for_write() as connection:
            producer = self.app.amqp.Producer(connection)
            self.app.send_ids("predictions.run", (1, ["a"]), queue=QUEUE, producer=producer)
        first, second = self.read(), self.read()
        [[task], [ids]] = [eventually(lambda one=one: one.drain(0.1)) for one in (first, second)]
        assert task.decode() == ids.decode()
        assert set(task.headers) == set(ids.headers)
        assert all(ids.properties[name] == task.properties[name] for name in ("delivery_mode", "priority"))
        task.ack()
        ids.ack()

    def test_a_message_that_is_rejected_or_delivered_too_often_is_counted_told_and_gone(self):
        before = {why: metrics.value(metrics.DEAD_LETTERS, (why,)) for why in ("rejected", "delivery_limit")}
        self.send("poison")
        for _ in range(topology.DELIVERY_LIMIT + 1):
            reader = self.read()
            eventually(lambda reader=reader: reader.drain(0.1))
            reader.lose()
        self.send("unknown")
        reader = self.read()
        [message] = eventually(lambda: reader.drain(0.1))
        assert message.decode()[0] == [1, ["unknown"]], "the poisoned one is not given out again"
        message.reject()
        reader.lose()
        for why, count in before.items():
            eventually(lambda why=why, count=count: self.read_leftovers(why) == count + 1)

    def test_a_message_without_a_queue_is_counted_and_gone(self):
        before = metrics.value(metrics.DEAD_LETTERS, ("unrouted",))
        with self.app.connection_for_write() as connection, connection.channel() as channel:
            channel.basic_publish(
                channel.prepare_message(b"[]", content_type="application/json", content_encoding="utf-8"),
                exchange="serving",
                routing_key="predictions.nowhere.standard",
            )
        eventually(lambda: self.read_leftovers("unrouted") == before + 1)

    def read_leftovers(self, reason: str) -> float:
        """Read what is there; how many have ended for this reason so far."""
        for queue in topology.leftovers():
            reader = self.read(queue)
            for message in reader.drain(0.2):
                dead_letters.take(message)
            reader.lose()
        return metrics.value(metrics.DEAD_LETTERS, (reason,))

    def test_a_frozen_broker_holds_a_publisher_up_for_seconds_only(self, rabbitmq_server):
        self.send("warm")
        beam = beam_of(rabbitmq_server.pid)
        freeze(beam)
        try:
            began = time.monotonic()
            with pytest.raises((OperationalError, OSError)):
                self.send("a")
            assert time.monotonic() - began < 12
        finally:
            thaw(beam)
        self.app.pool.force_close_all()


def rabbit_app(url: str) -> Celery:
    app = App("rabbit", set_as_current=False, broker=url)
    publishing = {"confirm_publish": True, "connect_timeout": 3, "read_timeout": 3, "write_timeout": 3}
    app.conf.update(
        **EXCHANGE,
        broker_transport_options={**publishing, "max_retries": 1},
        task_queues=working_queues(embedded=False),
    )
    return app


def beam_of(pid: int) -> int:
    """RabbitMQ's script starts the Erlang machine, which is the one that serves."""
    from tests.services import below

    for one in [pid, *below(pid)]:
        with open(f"/proc/{one}/comm") as name:
            if name.read().startswith("beam"):
                return one
    raise AssertionError("no Erlang machine runs")


def test_nudges_wait_for_the_broker_and_go_when_it_is_back():
    is_away, sent = [True], []

    def send(message: nudges.Message) -> None:
        if is_away[0]:
            raise ConnectionError("away")
        sent.append(message)

    publisher = nudges.Publisher(send)
    waiting = [a_nudge() for _ in range(10)]
    publisher.hint(waiting)
    assert publisher.flush()
    assert publisher.flush(), "within a second it is not asked again"
    is_away[0] = False
    publisher.start()
    eventually(lambda: sum(len(message.ids) for message in sent) == 10, limit=5)
    publisher.stop(2)
    assert {identifier for message in sent for identifier in message.ids} == {nudge.id for nudge in waiting}


def test_a_refused_nudge_is_dropped_and_the_row_backs_off():
    def refuse(message: nudges.Message) -> None:
        raise nudges.NotTaken("full")

    publisher = nudges.Publisher(refuse)
    publisher.hint([a_nudge()])
    assert not publisher.flush()
    assert publisher.dropped == 1
