"""FastAPI + Celery + RabbitMQ + Redis as commonly written: what most people would build first for queued work."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from serving_site.stack.server import free_port
from tests.bench import closed_loop, programs
from tests.bench.contenders import Call, json_call
from tests.bench.launched import Launched
from tests.bench.machine import WORKSHOP
from tests.bench.peers.process import FILES, ONE_THREAD, fitted
from tests.bench.works import IRIS

NAME = "fastapi_celery"
LABEL = "FastAPI + Celery"
#: As Celery starts by itself on two cores.
WORKERS = 2
DRAIN_S = 120.0


@dataclass(frozen=True)
class Queued:
    """`completed_per_s`: from the first call to the last result, waiting for both; milliseconds of the POST."""

    accepted_per_s: float
    completed_per_s: float
    refused: int
    broken: int
    p50_ms: float
    p99_ms: float


class FastApiCelery:
    """`broker` and `backend` are the URLs of a RabbitMQ and of a Redis database of its own."""

    def __init__(self, broker: str, backend: str) -> None:
        self.port = free_port()
        self._backend = backend
        self._variables = {**ONE_THREAD, "BENCH_BROKER": broker, "BENCH_BACKEND": backend}
        self._launched: list[Launched] = []

    def __enter__(self) -> FastApiCelery:
        folder = WORKSHOP / "run" / NAME
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        programs_of = programs.environment(NAME) / "bin"
        shutil.copy(FILES / "fastapi_celery_app.py", folder)
        self._variables["BENCH_MODEL"] = str(fitted(NAME) / "iris.joblib")
        web = [str(programs_of / "uvicorn"), "fastapi_celery_app:api", "--port", str(self.port), "--no-access-log"]
        worker = [str(programs_of / "celery"), "-A", "fastapi_celery_app", "worker", "-c", str(WORKERS), "-l", "ERROR"]
        for name, command in ((NAME, web), (f"{NAME}-worker", worker)):
            self._launched.append(Launched(name, command, core=None, folder=folder, environment=self._variables))
        try:
            self._launched[0].wait_until(self._answers)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for launched in self._launched:
            launched.stop()

    def pids(self) -> list[int]:
        return [launched.process.pid for launched in self._launched]

    @property
    def call(self) -> Call:
        return json_call(f"http://127.0.0.1:{self.port}/predict", {"x": IRIS.values}, lambda answer: answer["id"])

    def measure(self, *, clients: int, seconds: float) -> Queued:
        """Ask for so long, then wait until every accepted call has its result in Redis."""
        self._clear()
        began = time.monotonic()
        load = closed_loop.load(self.call, connections=clients, seconds=seconds, core=None)
        end = time.monotonic() + DRAIN_S
        while (done := self._results()) < load.answered and time.monotonic() < end:
            time.sleep(0.1)
        # wrk starts and ends within a few hundredths of a second around its window, which is what counts of it.
        took = time.monotonic() - began
        rate = min(done, load.answered) / max(load.seconds, took)
        return Queued(load.rate, rate, load.refused, load.broken, load.p50_ms, load.p99_ms)

    def _answers(self) -> bool:
        """Whether the whole way works and gives the right probabilities."""
        status, body, _ = self.call.answer()
        if status != 200:
            return False
        path = f"/result/{json.loads(body)['id']}"
        for _ in range(100):
            found = self._get(path)
            if found["state"] == "SUCCESS":
                return IRIS.is_right(found["result"])
            time.sleep(0.1)
        return False

    def _get(self, path: str) -> dict[str, object]:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request("GET", path)
            return dict(json.loads(connection.getresponse().read()))

    def _results(self) -> int:
        with self._redis() as client:
            return int(client.dbsize())

    def _clear(self) -> None:
        with self._redis() as client:
            client.flushdb()

    def _redis(self) -> Any:
        import redis

        return redis.Redis.from_url(self._backend)


def another_database(url: str, number: int = 9) -> str:
    """The same Redis, a database nobody else uses."""
    return urlsplit(url)._replace(path=f"/{number}").geturl()
