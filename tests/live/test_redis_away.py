"""A real server with a real Redis that is taken away: answers come as before, a little later at first."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from redis import Redis

from serving_site.stack import install
from serving_site.stack import redis as stack_redis
from serving_site.stack.server import Server as RedisServer
from tests.chaos import oracle, stage
from tests.running import Server
from tests.services import freeze, thaw

BODY = {"model": oracle.MODELS[0], "input": {"instances": [[1, 2]]}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("redis-away")
    stage.build(folder)
    return folder


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    install.ensure("Redis")
    server = stack_redis.start(tmp_path, name="redis", policy="noeviction")
    yield server
    with suppress(ProcessLookupError, RuntimeError):
        thaw(server.pid)
    server.stop()


@pytest.fixture
def server(folder: Path, redis: RedisServer) -> Iterator[Server]:
    server = Server(folder, environment={"REDIS_URL": redis.url})
    server.start()
    yield server
    server.stop()


def waited(server: Server) -> tuple[str, float]:
    """POST and wait for the answer; (id, seconds)."""
    began = time.monotonic()
    status, answer = server.post("/v1/predictions", BODY, Prefer="wait=5")
    assert (status, answer["status"]) == (201, "succeeded"), answer
    return answer["id"], time.monotonic() - began


def asked(server: Server, identifier: str) -> float:
    """GET it; seconds."""
    began = time.monotonic()
    status, answer = server.get(f"/v1/predictions/{identifier}")
    assert (status, answer["status"]) == (200, "succeeded")
    return time.monotonic() - began


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_post_wait_and_get_answer_while_redis_is_away(how: str, server: Server, redis: RedisServer) -> None:
    hot, _ = waited(server)
    with Redis(port=redis.port) as client:
        assert any(hot.replace("-", "").encode() in key for key in client.keys("serving-results:*"))
        assert client.pubsub_numsub("serving:ended") == [(b"serving:ended", 1)]

    os.kill(redis.pid, signal.SIGKILL) if how == "killed" else freeze(redis.pid)
    answers = [waited(server) for _ in range(20)]
    gets = [asked(server, identifier) for identifier, _ in answers]
    gets.append(asked(server, hot))
    status, accepted = server.post("/v1/predictions", BODY, Prefer="respond-async")
    assert status == 202
    assert max(seconds for _, seconds in answers) < 2.0
    assert max(gets) < 1.0
    # The breaker: nearly all pay nothing.
    assert sorted(seconds for _, seconds in answers)[10] < 0.5
    assert sorted(gets)[10] < 0.2
    until = time.monotonic() + 5
    while server.get(f"/v1/predictions/{accepted['id']}")[1]["status"] != "succeeded":
        assert time.monotonic() < until
        time.sleep(0.05)
    status, page = server.request("GET", "/metrics")[0::2]
    assert status == 200
    assert b'serving_redis_failures_total{outcome="failed"}' in page
