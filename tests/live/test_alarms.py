"""On a fault an alarm fires in the running Prometheus and reaches who is told, and it is quiet when the fault is over.

Two alarms, by rules whose windows are shorter; `make chaos` has the others (`tests/chaos/test_services_alarms.py`).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving_site.stack import install, observing
from serving_site.stack.observing import Manner
from serving_site.stack.server import free_port
from tests.alarms import Receiver, Watch, lose_a_message
from tests.services import Services

EXPECTED = {"WorkerDown", "DeadLetters"}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def watch(services: Services, receiver: Receiver, tmp_path: Path) -> Iterator[Watch]:
    install.ensure("Prometheus", "Alertmanager")
    stack = services.stack
    manner = Manner(receiver=receiver.url, times_faster=60)
    processes = stack.processes.values()
    started = observing.start(tmp_path, servers={}, processes=processes, port_of=lambda _: free_port(), manner=manner)
    yield Watch(started["prometheus"].url, started["alertmanager"].url)
    for server in started.values():
        server.stop()


def test_a_killed_worker_and_a_message_nobody_takes_raise_alarms_that_end(
    services: Services, watch: Watch, receiver: Receiver
) -> None:
    watch.until_seen_twice("serving_dead_letters_total")
    worker = services.stack.processes["worker-bulk"]
    os.kill(worker.pid, signal.SIGKILL)
    lose_a_message(services.stack.servers["rabbitmq"].url)
    watch.until(EXPECTED, limit=60)
    worker.stop()
    worker.start()
    watch.until_quiet(EXPECTED, limit=90)
    assert {name for path, name, status in receiver.heard if path == "/tickets" and status == "firing"} >= EXPECTED
