"""What `/metrics` shows: clean by Prometheus' own judge in every process, and no longer whatever strangers send."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from urllib.request import urlopen

import pytest

from tests.live.test_services import FLOWER, IRIS
from tests.running import Server
from tests.services import Services
from tests.waiting import eventually

#: Names of models, of versions, of agents and of requests, each; and connections that send them.
NAMES, CALLERS = 10_000, 4

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (package prometheus) is missing")


def judged(page: str) -> str:
    """What `promtool check metrics` has to say."""
    done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True)
    return done.stdout + done.stderr


def series(page: str) -> set[str]:
    return {line.rpartition(" ")[0] for line in page.splitlines() if line and not line.startswith("#")}


@needs_promtool
def test_promtool_finds_nothing_in_the_embedded_servers_page(embedded_server: Server) -> None:
    embedded_server.post("/v2/models/iris/infer", FLOWER)
    embedded_server.post("/v1/predictions", IRIS, Prefer="wait")
    assert judged(embedded_server.request("GET", "/metrics")[2].decode()) == ""


@needs_promtool
@pytest.mark.parametrize("name", ["web", "worker-standard", "keeper"])
def test_promtool_finds_nothing_in_the_pages_of_the_services_mode(services: Services, name: str) -> None:
    services.post("/v2/models/iris/infer", FLOWER)
    services.post("/v1/predictions", IRIS, Prefer="wait")
    process = services.stack.processes[name]

    def page() -> str:
        with urlopen(f"http://127.0.0.1:{process.plan.port}/metrics", timeout=10) as answer:
            return str(answer.read().decode())

    found = eventually(lambda: (text := page()) and "serving_circuit_opened_total" in text and text)
    assert "process_resident_memory_bytes" in found
    assert judged(found) == ""


def test_ten_thousand_made_up_names_make_no_series(embedded_server: Server) -> None:
    before = _after(embedded_server, range(2))  # a refusal of each kind has a series of its own
    with ThreadPoolExecutor(CALLERS) as pool:
        for done in [pool.submit(_after, embedded_server, range(first, NAMES, CALLERS)) for first in range(CALLERS)]:
            done.result()
    page = embedded_server.request("GET", "/metrics")[2].decode()
    assert "made-up" not in page
    # A few of the page itself: statements and views that nobody had asked before.
    assert len(series(page) - before) < 40, sorted(series(page) - before)


def _after(server: Server, numbers: range) -> set[str]:
    """The series after calls that name models, versions, agents, requests, methods and paths nobody knows."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    for number in numbers:
        name = f"made-up-{number}"
        headers = {"Authorization": f"Bearer {server.key}", "User-Agent": name, "X-Request-ID": name}
        _call(connection, "POST", f"/v2/models/{name}/infer", json.dumps(FLOWER), headers)
        _call(connection, "POST", f"/v2/models/iris/versions/{name}/infer", json.dumps(FLOWER), headers)
        if number % 100 < 2:  # what Django answers takes longer
            _call(connection, "GET", f"/{name}", None, headers)
            _call(connection, f"MADE-UP-{number}", "/v2/models/iris", None, headers)
    connection.close()
    return series(server.request("GET", "/metrics")[2].decode())


def _call(
    connection: http.client.HTTPConnection, method: str, path: str, body: str | None, headers: dict[str, str]
) -> None:
    """One call; a connection that the server closed after an early answer is made anew."""
    try:
        connection.request(method, path, body, headers)
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        connection.close()
