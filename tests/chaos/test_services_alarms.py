"""Six faults at once in a stack that is watched: their alarms fire, reach Alertmanager, and end when the faults do.

Part of `make chaos` alone (minutes); `tests/live/test_alarms.py` has two of them in `make test`.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import pytest

from serving_site.stack.observing import Manner
from tests.alarms import Receiver, Watch, lose_a_message
from tests.running import ROOT
from tests.services import Services, below, running_services
from tests.waiting import repeating

#: Windows and `for:` of the rules are so many times shorter: five minutes are twenty seconds.
TIMES_FASTER = 30
EXPECTED = {
    *("WorkerDown", "QueueGrowing", "DependencyDown record store", "ErrorBudgetBurnsFast", "ModelSlow", "DeadLetters"),
}
#: Only where its exporter is installed and reads this distribution, which may have no page at its root.
BY_EXPORTER = "ServerDown elasticsearch"
#: Seconds; a minute is enough on a machine that has nothing else to do.
LIMIT_S = 400
MODELS = """
import django
django.setup()
from tests import cast
cast.register("demo", "raising", cast.raising())
cast.register("demo", "sluggish", cast.slow(1500))
"""


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Services]:
    manner = Manner(receiver=receiver.url, times_faster=TIMES_FASTER)
    with running_services(tmp_path_factory.mktemp("alarms"), observed=True, manner=manner) as services:
        environment = {**os.environ, **services.stack.environment, "SERVING_ROLE": "prepare"}
        subprocess.run([sys.executable, "-c", MODELS], cwd=ROOT, env=environment, check=True, timeout=120)
        yield services


@pytest.mark.timeout(1200)
def test_alarms_fire_on_faults_and_end_with_them(observed: Services, receiver: Receiver) -> None:
    servers = observed.stack.servers
    watch = Watch(servers["prometheus"].url, servers["alertmanager"].url)
    for model, rows in (("raising", [1, 2]), ("sluggish", [1, 2])):
        _until_answered(observed, model, rows)
    watch.until_seen_twice("serving_dead_letters_total", limit=120)
    watch.until_seen_twice("serving_prediction_seconds_count", limit=120)
    expected = EXPECTED | ({BY_EXPORTER} if "exporter-elasticsearch" in servers else set())
    watch.until_quiet(expected, limit=LIMIT_S)  # what the start of a busy machine raised is over

    worker = observed.stack.processes["worker-bulk"]
    os.kill(worker.pid, signal.SIGKILL)
    with _down(observed, "elasticsearch"), _calls(observed):
        fired = watch.until(expected, limit=LIMIT_S)
    worker.stop()
    worker.start()
    quiet = watch.until_quiet(expected, limit=LIMIT_S)
    print(f"fired after {fired} s, quiet after {quiet} s")
    pages = {name for path, name, status in receiver.heard if path == "/pages" and status == "firing"}
    assert pages >= {"DependencyDown", "ErrorBudgetBurnsFast"}, receiver.heard


@contextmanager
def _down(services: Services, name: str) -> Iterator[None]:
    """A server killed, and started again on its data when the block ends."""
    server = services.stack.servers[name]
    for pid in [server.pid, *below(server.pid)]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    _until_refused(server.port)
    try:
        yield
    finally:
        services.stack.start_server(name)


def _calls(services: Services) -> AbstractContextManager[None]:
    """A model that raises, a slow one, work for the worker that is gone, lost messages, until the block ends."""
    broker = services.stack.servers["rabbitmq"].url
    return repeating(
        lambda: services.post("/v2/models/raising/infer", _rows([5000, 1])),
        lambda: services.post("/v2/models/sluggish/infer", _rows([1, 2])),
        lambda: [services.post("/v1/predictions", _bulk()) for _ in range(20)],
        lambda: lose_a_message(broker),
        threads=4,
        pause=0.2,
    )


def _until_refused(port: int) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except ConnectionRefusedError:
            return
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"port {port} still takes connections")


def _until_answered(services: Services, model: str, row: Sequence[float]) -> None:
    end = time.monotonic() + 120
    while services.post(f"/v2/models/{model}/infer", _rows(row))[0] != 200:
        assert time.monotonic() < end, f"{model} does not answer"
        time.sleep(0.5)


def _rows(row: Sequence[float]) -> dict[str, Any]:
    return {"inputs": [{"name": "input", "shape": [1, 2], "datatype": "FP64", "data": list(row)}]}


def _bulk() -> dict[str, Any]:
    return {"model": "iris", "priority": "bulk", "input": {"instances": [[6.7, 3.0, 5.2, 2.3]]}}
