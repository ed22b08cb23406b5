"""Aliases move without a failed request, and the lane and health answer when everything else is taken."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests import cast
from tests.running import Server, prepared_server
from tests.waiting import eventually

THREADS = 16
#: Requests that may wait for a prediction: a quarter of the threads, within Django's half.
WAITING = THREADS // 4
INFER = "/v2/models/{}/infer"
BODY = json.dumps({"inputs": [{"name": "input", "shape": [1, 2], "datatype": "FP64", "data": [1, 2]}]}).encode()
BUSY = {"model": "busy", "input": {"instances": [[1, 2]]}}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of few threads that these tests may fill."""
    environment = {"BLOCKING_THREADS": str(THREADS)}
    with prepared_server(tmp_path_factory.mktemp("filled"), environment=environment) as running:
        yield running


def publish(server: Server, name: str, member: cast.Member, *, alias: str | None) -> None:
    """Publish a model file over HTTP and wait until its newest version is ready, by its alias where it is given one."""
    status, found = server.upload(name, member.model, alias=alias)
    assert status in (200, 202), found
    number = found["number"]
    end = time.monotonic() + 60
    while (found := server.get(f"/api/models/{name}/versions/{number}")[1])["status"] != "ready":
        assert found["status"] == "publishing", found
        assert time.monotonic() < end, found
        time.sleep(0.1)
    while alias and server.get(f"/v2/models/{name}/ready")[0] != 200:
        assert time.monotonic() < end, f"{name} is not ready by its alias"
        time.sleep(0.05)


class Load(threading.Thread):
    """One client that infers without a pause; keeps (moment, status, version)."""

    def __init__(self, server: Server, name: str) -> None:
        super().__init__(daemon=True)
        self.seen: list[tuple[float, int, str]] = []
        self.ended = False
        self._server, self._path = server, INFER.format(name)

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=10)
        headers = {"Authorization": f"Bearer {self._server.key}"}
        while not self.ended:
            connection.request("POST", self._path, BODY, headers)
            answer = connection.getresponse()
            document = json.loads(answer.read())
            self.seen.append((time.monotonic(), answer.status, document.get("model_version", "")))
            time.sleep(0.002)


def test_an_alias_moves_within_two_seconds_and_no_request_fails(own: Server) -> None:
    publish(own, "moving", cast.adder(1), alias="champion")
    publish(own, "moving", cast.adder(2), alias=None)
    clients = [Load(own, "moving") for _ in range(4)]
    for client in clients:
        client.start()
    moves: list[tuple[float, str]] = []
    for version in ("2", "1", "2"):
        time.sleep(0.5)
        moves.append((time.monotonic(), version))
        status, document = _point(own, "moving", version)
        assert status in (200, 201), document
        time.sleep(2.0)
    for client in clients:
        client.ended = True
        client.join()
    seen = sorted(item for client in clients for item in client.seen)
    assert {status for _, status, _ in seen} == {200}
    for moved, version in moves:
        late = [found for at, _, found in seen if moved + 2.0 <= at < moved + 2.4]
        assert set(late) <= {version}
        assert any(found == version for at, _, found in seen if moved <= at <= moved + 2.0)


def _point(server: Server, name: str, version: str) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {server.key}", "Content-Type": "application/json"}
    body = json.dumps({"version": int(version), "why": "test"}).encode()
    status, _, answer = server.request("PUT", f"/api/models/{name}/aliases/champion", body, headers)
    return status, json.loads(answer or b"null")


def test_infer_and_live_answer_while_every_waiting_and_every_django_place_is_taken(own: Server) -> None:
    publish(own, "fast", cast.adder(1), alias="champion")
    publish(own, "busy", cast.slow(500), alias="champion")
    ahead = [own.accepted(BUSY) for _ in range(24)]
    with contextlib.ExitStack() as held, ThreadPoolExecutor(WAITING) as clients:
        waiting = [clients.submit(own.post, "/v1/predictions", BUSY, Prefer="wait=30") for _ in range(WAITING)]
        _wait_until_waiting(own, len(ahead) + WAITING)
        took, status, beyond = _timed(lambda: own.post("/v1/predictions", BUSY, Prefer="wait=30"))
        assert (status, beyond["status"]) == (201, "starting")
        assert took < 0.5
        for _ in range(THREADS // 2 - WAITING):
            held.enter_context(_half_sent(own))
        time.sleep(0.5)
        status, headers, _ = own.request("GET", "/v1/predictions", headers={"Authorization": f"Bearer {own.key}"})
        assert (status, headers["content-type"]) == (503, "application/problem+json")
        assert int(headers["retry-after"]) >= 1
        for path, body in ((INFER.format("fast"), BODY), ("/health/live", None), ("/v2/health/live", None)):
            taken = _milliseconds(own, path, body, calls=200)
            print(f"{path}: p50 {taken[100]:.2f} ms, p95 {taken[190]:.2f} ms, most {taken[-1]:.2f} ms")
            assert taken[190] < 50, path
        assert not any(answer.done() for answer in waiting)
        held.close()
        for identifier in (*ahead, beyond["id"]):
            own.post(f"/v1/predictions/{identifier}/cancel")
        answers = [answer.result() for answer in waiting]
    assert [(status, shown["status"]) for status, shown in answers] == [(201, "succeeded")] * WAITING


def test_what_is_too_much_for_a_model_is_refused_at_once_and_what_was_accepted_keeps_its_pace(own: Server) -> None:
    publish(own, "heavy", cast.slow(300), alias="champion")
    end = time.monotonic() + 30
    while (alone := _asked(own, "heavy"))[0] != 200:
        assert time.monotonic() < end, alone
        time.sleep(0.1)
    begin = threading.Barrier(THREADS - WAITING)
    with ThreadPoolExecutor(begin.parties) as clients:
        answers = list(clients.map(lambda _: _asked(own, "heavy", begin), range(begin.parties)))
    accepted = [took for status, _, took in answers if status == 200]
    refused = [(headers, took) for status, headers, took in answers if status == 503]
    print(f"alone {alone[2]:.3f} s; accepted {sorted(accepted)}; refused {sorted(took for _, took in refused)}")
    assert len(accepted) + len(refused) == begin.parties
    assert len(accepted) >= WAITING
    assert refused
    assert all(int(headers["retry-after"]) >= 1 for headers, _ in refused)
    assert statistics.median(took for _, took in refused) < statistics.median(accepted)
    # One run, and the one behind it that the others gathered for.
    assert max(accepted) < 6 * alone[2] + 2


def test_bodies_that_never_end_keep_nobody_out_though_few_threads_move(own: Server) -> None:
    publish(own, "quick", cast.adder(1), alias="champion")
    with ThreadPoolExecutor(2 * THREADS) as clients:
        burst = list(clients.map(lambda _: _asked(own, "quick")[0], range(20 * THREADS)))
    assert set(burst) == {200}
    with contextlib.ExitStack() as held:
        for _ in range(THREADS - 4):
            held.enter_context(_half_sent(own, INFER.format("quick")))
        taken = _milliseconds(own, INFER.format("quick"), BODY, calls=200)
        print(f"p50 {taken[100]:.2f} ms, p95 {taken[190]:.2f} ms, most {taken[-1]:.2f} ms")
        assert taken[190] < 50


def _asked(server: Server, name: str, begin: threading.Barrier | None = None) -> tuple[int, dict[str, str], float]:
    """Status, headers and seconds of one infer call; with others at once, where there is a barrier."""
    if begin is not None:
        begin.wait(30)
    started = time.perf_counter()
    headers = {"Authorization": f"Bearer {server.key}", "Content-Type": "application/json"}
    status, given, _ = server.request("POST", INFER.format(name), BODY, headers)
    return status, given, time.perf_counter() - started


def _wait_until_waiting(server: Server, accepted: int) -> None:
    """Until so many predictions of the slow model are accepted."""
    eventually(lambda: len(server.get("/v1/predictions?model=busy&limit=100")[1]["results"]) >= accepted)


def _timed(call: Callable[[], tuple[int, Any]]) -> tuple[float, int, Any]:
    started = time.perf_counter()
    status, document = call()
    return time.perf_counter() - started, status, document


@contextlib.contextmanager
def _half_sent(server: Server, path: str = "/v1/predictions") -> Iterator[socket.socket]:
    """A request whose body never comes to its end: it holds a thread; a queued one, a thread of Django."""
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        lines = [
            f"POST {path} HTTP/1.1",
            f"Host: 127.0.0.1:{server.port}",
            f"Authorization: Bearer {server.key}",
            "Content-Type: application/json",
            "Content-Length: 1000",
            "",
            '{"model":',
        ]
        connection.sendall("\r\n".join(lines).encode())
        yield connection


def _milliseconds(server: Server, path: str, body: bytes | None, *, calls: int) -> list[float]:
    """How long each of so many calls took, shortest first; none may be refused."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    taken = []
    for _ in range(calls):
        started = time.perf_counter()
        connection.request("POST" if body else "GET", path, body, {"Authorization": f"Bearer {server.key}"})
        answer = connection.getresponse()
        said = answer.read()
        taken.append((time.perf_counter() - started) * 1000)
        assert answer.status == 200, said
    connection.close()
    return sorted(taken)
