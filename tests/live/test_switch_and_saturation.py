"""Aliases move without a failed request, and the lane and health answer when everything else is taken."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import cast
from tests.running import Server, prepared_server

THREADS = 16
INFER = "/v2/models/{}/infer"
BODY = json.dumps({"inputs": [{"name": "input", "shape": [1, 2], "datatype": "FP64", "data": [1, 2]}]}).encode()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of few threads that these tests may fill."""
    environment = {"BLOCKING_THREADS": str(THREADS)}
    with prepared_server(tmp_path_factory.mktemp("filled"), environment=environment) as running:
        yield running


def publish(server: Server, name: str, member: cast.Member, *, alias: str | None, folder: Path) -> None:
    """Publish a model file over HTTP and wait until its newest version is ready."""
    boundary = "----part"
    fields = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
        for key, value in ({"alias": alias} if alias else {}).items()
    )
    body = (
        fields.encode()
        + f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}.onnx"\r\n\r\n'.encode()
        + member.model
        + f"\r\n--{boundary}--\r\n".encode()
    )
    headers = {
        "Authorization": f"Bearer {server.key}",
        "Content-Type": f"multipart/form-data; boundary={boundary}",
    }
    status, _, answer = server.request("POST", f"/api/models/{name}/versions", body, headers)
    assert status in (200, 202), answer
    number = json.loads(answer)["number"]
    end = time.monotonic() + 60
    while (found := server.get(f"/api/models/{name}/versions/{number}")[1])["status"] != "ready":
        assert found["status"] == "publishing", found
        assert time.monotonic() < end, found
        time.sleep(0.1)


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


def test_an_alias_moves_within_two_seconds_and_no_request_fails(own: Server, tmp_path: Path) -> None:
    publish(own, "moving", cast.adder(1), alias="champion", folder=tmp_path)
    publish(own, "moving", cast.adder(2), alias=None, folder=tmp_path)
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


def test_infer_and_live_answer_while_every_django_place_is_taken(own: Server, tmp_path: Path) -> None:
    with contextlib.ExitStack() as held:
        for _ in range(THREADS // 2):
            held.enter_context(_half_sent(own))
        time.sleep(0.5)
        status, headers, _ = own.request("GET", "/v1/predictions", headers={"Authorization": f"Bearer {own.key}"})
        assert (status, headers["content-type"]) == (503, "application/problem+json")
        assert int(headers["retry-after"]) >= 1
        for path in ("/health/live", "/v2/health/live"):
            assert _milliseconds(own, "GET", path, None) < 100
        _milliseconds(own, "POST", INFER.format("moving"), BODY)
        assert _milliseconds(own, "POST", INFER.format("moving"), BODY) < 100
    assert own.get("/v1/predictions")[0] in (200, 503)


@contextlib.contextmanager
def _half_sent(server: Server) -> Iterator[socket.socket]:
    """A queued request whose body never comes to its end: it holds a thread of Django."""
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        lines = [
            "POST /v1/predictions HTTP/1.1",
            f"Host: 127.0.0.1:{server.port}",
            f"Authorization: Bearer {server.key}",
            "Content-Type: application/json",
            "Content-Length: 1000",
            "",
            '{"model":',
        ]
        connection.sendall("\r\n".join(lines).encode())
        yield connection


def _milliseconds(server: Server, method: str, path: str, body: bytes | None) -> float:
    started = time.perf_counter()
    status, _, answer = server.request(method, path, body, {"Authorization": f"Bearer {server.key}"})
    assert status == 200, answer
    return (time.perf_counter() - started) * 1000
