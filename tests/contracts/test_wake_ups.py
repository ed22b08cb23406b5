"""Wake-ups in process and over Redis against the contract, and Redis killed, frozen and cut off."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest
from django_redis.exceptions import ConnectionInterrupted

from monitoring.ids import mint
from predictions.queued import waiting
from predictions.queued.redis_wakeups import CHANNEL, WITH_ENTRY, RedisWakeUps
from predictions.queued.waiting import InProcess, Waiters
from serving_site.redis_clients import Factory
from tests.contracts.cache_and_results import a_row
from tests.contracts.test_caches import in_redis
from tests.contracts.wake_ups import Ear, WakeUpsContract
from tests.services import freeze, thaw


@pytest.fixture
def a_process() -> Iterator[Callable[[str], RedisWakeUps]]:
    """Wake-ups of one server process, which hears when this returns."""
    started: list[RedisWakeUps] = []

    def start(url: str) -> RedisWakeUps:
        wake_ups = over(url)
        for background in wake_ups.background():
            background.start()
        started.append(wake_ups)
        until(lambda: wake_ups.is_heard)
        return wake_ups

    yield start
    for wake_ups in started:
        wake_ups.stop(5)


def over(url: str) -> RedisWakeUps:
    return RedisWakeUps(lambda: Factory({}).connect(url))


def until(holds: Callable[[], bool], timeout: float = 5.0) -> float:
    """Wait until it holds; return the seconds that took."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < timeout, "not in time"
        time.sleep(0.02)
    return time.monotonic() - began


class TestInProcess(WakeUpsContract):
    @pytest.fixture(autouse=True)
    def _open(self):
        self.sender = InProcess()
        self.listeners = [self.sender]
        assert self.sender.background() == []


class TestRedis(WakeUpsContract):
    @pytest.fixture(autouse=True)
    def _open(self, redis_urls, a_process, settings):
        settings.CACHES = in_redis(*redis_urls)
        self.url = redis_urls[1]
        self.sender = over(self.url)
        self.listeners = [a_process(self.url), a_process(self.url)]

    def test_who_ends_a_prediction_in_a_server_process_hears_itself_at_once(self):
        ear, identifier = Ear(self.listeners[0]), mint()
        self.listeners[0].send([identifier])
        assert identifier in ear.heard

    @pytest.mark.parametrize("message", [b"", b"short", b"\xff" * 17, b'{"id": 1}'])
    def test_what_a_stranger_sends_wakes_nobody_and_breaks_nothing(self, message):
        ear, identifier = Ear(self.listeners[0]), mint()
        Factory({}).connect(self.url).publish(CHANNEL, message)
        self.sender.send([identifier])
        assert ear.wait(identifier)
        assert set(ear.heard) == {identifier}

    @pytest.mark.parametrize("entry", [b"", b"no JSON", b"[1", b"\xff"])
    def test_an_entry_of_a_stranger_is_none_and_the_cache_is_asked(self, entry):
        ear, identifier = Ear(self.listeners[0]), mint()
        Factory({}).connect(self.url).publish(WITH_ENTRY, b"")
        Factory({}).connect(self.url).publish(WITH_ENTRY, identifier.bytes + entry)
        assert ear.wait(identifier)
        assert ear.entries[identifier] is None

    def test_a_process_that_has_stopped_hears_no_more(self):
        ear, stopped = Ear(self.listeners[0]), self.listeners[0]
        stopped.stop(5)
        self.sender.send([mint()])
        time.sleep(0.2)
        assert ear.heard == {}
        assert not stopped.is_heard


def test_after_redis_was_killed_and_started_wake_ups_are_heard_within_seconds(private_redis, a_process):
    server = private_redis()
    listener, sender = a_process(server.url), over(server.url)
    ear = Ear(listener)
    os.kill(server.pid, signal.SIGKILL)
    until(lambda: not listener.is_heard)
    for _ in range(10):
        began = time.monotonic()
        sender.send([mint()])
        assert time.monotonic() - began < 0.5
    private_redis(server.port)
    assert until(lambda: listener.is_heard) < 3
    sent = []

    def is_heard_again() -> bool:
        sent.append(mint())
        sender.send(sent[-1:])
        return ear.wait(sent[-1], timeout=0.2)

    assert until(is_heard_again) < 3


def test_while_redis_is_frozen_sending_returns_and_soon_costs_nothing(private_redis, a_process):
    server = private_redis()
    listener, sender = a_process(server.url), over(server.url)
    ear = Ear(listener)
    freeze(server.pid)
    took = []
    for _ in range(10):
        began = time.monotonic()
        sender.send([mint()])
        took.append(time.monotonic() - began)
    assert max(took) < 0.5
    assert sum(took[3:]) < 0.1
    # Silence is noticed too: the connection of a host that vanished stays open for ever.
    until(lambda: not listener.is_heard, timeout=8)
    thaw(server.pid)
    until(lambda: listener.is_heard)
    time.sleep(1.0)  # the breaker's pause
    last = mint()
    sender.send([last])
    assert ear.wait(last)


@pytest.mark.django_db
@pytest.mark.parametrize("wake_ups", [InProcess(), over("redis://127.0.0.1:1/0")], ids=["in process", "redis away"])
def test_a_wake_up_that_was_lost_is_made_good_by_the_shared_query(wake_ups):
    waiters = Waiters(4)
    wake_ups.listen(lambda identifier, entry: None)  # lost on the way
    row = a_row()
    with waiters.place(row.id) as waiter:
        assert waiter is not None
        row.save()
        wake_ups.send([row.id])
        waiters.ask()
        assert not waiter.wait(0), "asked for too early: the wake-up is still on its way"
        time.sleep(waiting.ASK_EVERY_S)
        waiters.ask()
        assert waiter.wait(0)


def test_a_cluster_that_is_away_costs_a_miss():
    factory = Factory({})
    began = time.monotonic()
    with pytest.raises(ConnectionInterrupted):
        factory.connect("redis+cluster://127.0.0.1:1")
    assert time.monotonic() - began < 1
