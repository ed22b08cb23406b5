"""What the services mode does while a part of it is away: bounded answers, nothing lost, work spread fairly."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from serving_site.stack.running import WATCH_EVERY_S
from tests.live.test_services import IRIS
from tests.services import Services, freeze, thaw
from tests.waiting import eventually

#: Seconds beyond its own limit that a request may take.
MARGIN_S = 1.0


@contextmanager
def frozen(services: Services, name: str) -> Iterator[None]:
    pid = services.stack.servers[name].pid
    freeze(pid)
    try:
        yield
    finally:
        thaw(pid)


@contextmanager
def watched(services: Services) -> Iterator[None]:
    """What has died is started again, as `make stack` does it."""
    enough = threading.Event()

    def watch() -> None:
        while not enough.wait(WATCH_EVERY_S):
            services.stack.watch()

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        try:
            yield
        finally:
            enough.set()
            watching.result()


def timed(services: Services, path: str, body: Any, **headers: str) -> tuple[int, Any, float]:
    began = time.monotonic()
    status, answer = services.post(path, body, **headers)
    return status, answer, time.monotonic() - began


def ends(services: Services, identifier: str, *, limit: float = 60) -> Any:
    def ended() -> Any:
        try:
            status, answer = services.get(f"/v1/predictions/{identifier}")
        except (OSError, http.client.HTTPException):
            return None  # of a process that was killed meanwhile: a client asks again
        return answer if status == 200 and answer["status"] in ("succeeded", "failed") else None

    return eventually(ended, limit=limit)


def test_a_frozen_database_holds_no_caller_beyond_its_limit(services: Services) -> None:
    services.post("/v1/predictions", IRIS, Prefer="wait")
    with frozen(services, "postgres"):
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: timed(services, "/v1/predictions", IRIS, Prefer="wait=2"), range(8)))
        for status, answer, seconds in answers:
            assert status == 503, answer
            assert seconds < 2 + MARGIN_S
        assert {answer["code"] for _, answer, _ in answers} <= {"outcome_unknown", "unavailable"}
        status, _, seconds = timed(services, "/v2/models/iris/infer", _flower())
        assert (status, seconds < 1) == (200, True), "online knows no database"
    began = time.monotonic()
    eventually(lambda: services.post("/v1/predictions", IRIS, Prefer="wait")[0] == 201, limit=20)
    assert time.monotonic() - began < 20


def test_a_restarted_database_is_used_again_by_every_thread(services: Services) -> None:
    server = services.stack.servers["postgres"]
    os.kill(server.pid, signal.SIGKILL)
    time.sleep(0.5)
    status, answer, seconds = timed(services, "/v1/predictions", IRIS)
    assert (status, seconds < 6) == (503, True), answer
    services.stack.start_server("postgres")
    # Every process notices by itself, and each call may meet another one.
    eventually(lambda: {services.post("/v1/predictions", IRIS)[0] for _ in range(20)} == {201}, limit=20)
    _, answer = services.post("/v1/predictions", IRIS, Prefer="wait")
    assert ends(services, answer["id"])["status"] == "succeeded"
    eventually(lambda: services.get(f"/api/records/{answer['id']}")[0] == 200, limit=20)
    eventually(lambda: services.get("/health/ready")[1]["status"] == "ok", limit=20)


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_posts_are_accepted_while_rabbitmq_is_away_and_done_when_it_is_back(services: Services, how: str) -> None:
    server = services.stack.servers["rabbitmq"]
    if how == "frozen":
        freeze(server.pid)
    else:
        server.process.kill()
    accepted = []
    try:
        for _ in range(10):
            status, answer, seconds = timed(services, "/v1/predictions", IRIS)
            assert status == 201, answer
            assert seconds < 1
            accepted.append(answer["id"])
    finally:
        if how == "frozen":
            thaw(server.pid)
        else:
            services.stack.start_server("rabbitmq")
    for identifier in accepted:
        assert ends(services, identifier, limit=90)["status"] == "succeeded"


def test_a_killed_worker_and_web_process_lose_nothing(services: Services) -> None:
    accepted = [services.accepted(IRIS) for _ in range(20)]
    os.kill(services.stack.processes["worker-standard"].pid, signal.SIGKILL)
    killed = services.worker
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: len(set(services.workers) - {killed}) == 2 and _answers(services), limit=30)
    with watched(services):
        for identifier in accepted:
            assert ends(services, identifier, limit=60)["status"] == "succeeded"


def _answers(services: Services) -> bool:
    try:
        return services.get("/health/ready")[0] == 200
    except (OSError, json.JSONDecodeError):
        return False


def _flower() -> dict[str, Any]:
    return {"inputs": [{"name": "input", "shape": [1, 4], "datatype": "FP64", "data": [5.1, 3.5, 1.4, 0.2]}]}
