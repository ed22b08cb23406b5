"""Bytes that no client library sends: never a 5xx of our own, never a dead worker, memory stays flat."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.live import corpus
from tests.running import Server

#: Refusals that say nothing about the request: no room, hard limit passed. 501 and 505 are HTTP's own words for
#: methods and versions that do not exist.
DELIBERATE = {501, 503, 504, 505}
CASES = corpus.cases()


@dataclass(frozen=True, slots=True)
class Answer:
    """Status 0: closed without an answer; -1: nothing within the time."""

    status: int
    head: bytes = b""
    body: bytes = b""


def exchange(port: int, case: corpus.Case, *, limit: float = 10.0) -> Answer:
    """Send, end our side, read to the end; an error of the connection counts as closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=limit) as connection:
        with contextlib.suppress(OSError):  # refused before all was sent; what it said may still be there
            connection.sendall(case.send)
            if case.half_close:
                connection.shutdown(socket.SHUT_WR)
        received = _all(connection, limit, case.name)
    if not received.startswith(b"HTTP/"):
        return Answer(0, body=received)
    while received[9:10] == b"1":  # 100 Continue and its like announce the answer
        received = received.partition(b"\r\n\r\n")[2]
        if not received:
            return Answer(0)
    head, _, body = received.partition(b"\r\n\r\n")
    return Answer(int(head.split(b" ", 2)[1][:3]), head.lower(), body)


def _all(connection: socket.socket, limit: float, name: str) -> bytes:
    received = b""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        try:
            more = connection.recv(65_536)
        except TimeoutError:
            break
        except OSError:
            return received
        if not more:
            return received
        received += more
    assert received, f"{name}: no answer within {limit} s"
    return received


def resident(pid: int) -> int:
    """Resident memory of a process in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


def wrong(case: corpus.Case, answer: Answer) -> str | None:
    """Why an answer is not one that this request may get."""
    if answer.status >= 500 and answer.status not in DELIBERATE:
        return f"status {answer.status}: {answer.body[:200]!r}"
    if answer.status not in case.expected and answer.status not in DELIBERATE:
        return f"status {answer.status} is not of {sorted(case.expected)}: {answer.body[:200]!r}"
    if answer.status < 400 or not case.path or b"\r\ncontent-type:" not in answer.head or not answer.body:
        return None
    if not case.path.startswith(("/v1", "/v2", "/api")):
        return None
    try:
        document = json.loads(answer.body)
    except ValueError:
        return f"{answer.status} is not JSON: {answer.body[:200]!r}"
    if case.path.startswith("/v2"):
        return None if isinstance(document.get("error"), str) else f"no error in {document}"
    return None if document.get("status") == answer.status and document.get("code") else f"no problem in {document}"


@pytest.fixture(scope="module")
def port(embedded_server: Server) -> int:
    return embedded_server.port


def test_the_corpus_is_large() -> None:
    assert len(CASES) >= 300


def test_no_raw_request_breaks_the_server(embedded_server: Server) -> None:
    workers = embedded_server.pids
    for case in CASES * 2:  # before measuring: pools, caches, threads and the allocator have their size then
        exchange(embedded_server.port, case)
    before = resident(embedded_server.worker)
    faults = []
    for case in CASES:
        fault = wrong(case, exchange(embedded_server.port, case))
        if fault:
            faults.append(f"{case.name}: {fault}")
    assert embedded_server.request("GET", "/health/live")[0] == 200
    assert embedded_server.pids == workers, "a process died"
    assert not faults, f"{len(faults)} of {len(CASES)}:\n" + "\n".join(faults)
    assert resident(embedded_server.worker) - before < 20 * 2**20


def test_a_body_without_end_is_cut_off(embedded_server: Server) -> None:
    """200 MB in chunks: refused at once, hardly anything of it read."""
    before = resident(embedded_server.worker)
    head = corpus.request(corpus.INFER, b"", "Transfer-Encoding: chunked", length=None)
    sent = 0
    with socket.create_connection(("127.0.0.1", embedded_server.port), timeout=20) as connection:
        connection.sendall(head)
        with contextlib.suppress(OSError):
            while sent < 200 * 2**20:
                connection.sendall(b"100000\r\n" + b" " * 2**20 + b"\r\n")
                sent += 2**20
    assert resident(embedded_server.worker) - before < 20 * 2**20
    assert embedded_server.request("GET", "/health/live")[0] == 200


def test_half_sent_requests_do_not_keep_others_waiting(embedded_server: Server) -> None:
    whole = corpus.request(corpus.INFER, corpus.GOOD[corpus.INFER])
    with contextlib.ExitStack() as held:
        for _ in range(24):
            connection = held.enter_context(socket.create_connection(("127.0.0.1", embedded_server.port), timeout=10))
            connection.sendall(whole[:-3])
        for _ in range(20):
            started = time.monotonic()
            assert embedded_server.request("GET", "/health/live", timeout=5)[0] == 200
            assert time.monotonic() - started < 1
        good = corpus.Case("good", whole)
        assert exchange(embedded_server.port, good).status == 200


def test_what_stands_behind_a_refused_body_is_not_taken_for_a_request(embedded_server: Server) -> None:
    """A refused chunked body must not be read as the next request on the same connection."""
    hidden = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    head = corpus.request(corpus.INFER, b"", "Transfer-Encoding: chunked", length=None).replace(
        b"Connection: close\r\n", b""
    )
    case = corpus.Case("smuggled", head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(hidden), hidden))
    answer = exchange(embedded_server.port, case, limit=3)
    assert answer.status in {0, 400, 411}
    assert answer.body.count(b"HTTP/1.1 200") == 0
