"""What the campaign on the services mode judges by: the manners of POST, and a proxy that loses answers."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.chaos.checker import BOLD, Verdict
from tests.chaos.services.campaign import Campaign, Result
from tests.chaos.services.faults import Fault, Struck
from tests.chaos.services.proxy import Proxy
from tests.chaos.services.timed import Timing
from tests.chaos.test_services_faults import broken_manners

FROZEN = Fault("RabbitMQ", "frozen", 5)
STOPPED = Fault("PostgreSQL", "restarted", 5)


def result(fault: Fault, *timings: Timing, back_s: float = 1.0) -> Result:
    struck = Struck(fault, 10.0, 15.0, 15.0)
    return Result(Campaign(1), Verdict({}, {name: [] for name in BOLD}), [struck], [back_s], list(timings))


def posted(kind: str, status: int, seconds: float = 0.1) -> Timing:
    return Timing(12.0, seconds, "queued", kind, status, False)


def test_acceptance_while_the_broker_is_frozen_is_good_manners() -> None:
    assert broken_manners(result(FROZEN, posted("acknowledged", 201))) == []


@pytest.mark.parametrize(
    ("fault", "timing"),
    [
        (FROZEN, posted("refused", 503)),
        (FROZEN, posted("unknown", 0)),
        (FROZEN, posted("acknowledged", 201, 9.0)),
        (STOPPED, posted("unknown", 500)),
        (STOPPED, posted("unknown", 503, 9.0)),
        (STOPPED, posted("acknowledged", 201)),
    ],
)
def test_bad_manners_are_found(fault: Fault, timing: Timing) -> None:
    assert broken_manners(result(fault, timing))


def test_a_503_that_cannot_tell_is_a_refusal_to_the_client() -> None:
    assert broken_manners(result(STOPPED, posted("unknown", 503))) == []


def test_a_prediction_that_never_finishes_again_is_found() -> None:
    assert broken_manners(result(FROZEN, posted("acknowledged", 201), back_s=float("inf")))


@pytest.fixture
def served() -> Iterator[HTTPServer]:
    class Counting(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.server.asked += 1  # type: ignore[attr-defined]
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Counting)
    server.asked = 0  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def ask(port: int, path: str = "/_bulk") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("POST", path)
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_lost_answer_is_of_a_bulk_that_was_worked(served: HTTPServer) -> None:
    proxy = Proxy(served.server_port)
    assert ask(proxy.port) == 204
    proxy.losing = True
    with pytest.raises((OSError, http.client.HTTPException)):
        ask(proxy.port)
    assert (served.asked, proxy.lost) == (2, 1)  # type: ignore[attr-defined]
    assert ask(proxy.port, "/_cluster/health") == 204
    proxy.losing, proxy.shut = False, True
    with pytest.raises((OSError, http.client.HTTPException)):
        ask(proxy.port)
    assert served.asked == 3  # type: ignore[attr-defined]
    proxy.close()
