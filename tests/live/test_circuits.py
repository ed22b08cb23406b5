"""A service that hangs or is gone: calls fail at once instead of waiting for it, and health is true about it soon."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.live.test_services import IRIS
from tests.live.test_services_faults import frozen, timed
from tests.services import Services
from tests.waiting import eventually

#: Service → its part of health, and its circuit.
PARTS = {
    "postgres": ("database", "postgresql"),
    "rabbitmq": ("queue", "rabbitmq"),
    "redis-cache": ("cache", "redis"),
    "elasticsearch": ("record store", "elasticsearch"),
}
#: What health may take to be true; what the machine's other work adds.
TRUE_WITHIN_S, SLACK_S = 2.0, 3.0


@contextmanager
def killed(services: Services, name: str) -> Iterator[None]:
    services.stack.servers[name].process.kill()
    try:
        yield
    finally:
        services.stack.start_server(name)


def state(services: Services, part: str) -> str:
    return str(services.get("/health/ready")[1]["parts"][part]["state"])


def until(services: Services, part: str, *, is_ok: bool) -> float:
    """Seconds until health says so in a row of looks: several processes answer."""
    began, since = time.monotonic(), 0.0
    while True:
        now = time.monotonic()
        assert now - began < 30, f"{part} is still {state(services, part)}"
        if (state(services, part) == "ok") is not is_ok:
            since = 0.0
        elif not since:
            since = now
        elif now - since > 0.3:
            return since - began
        time.sleep(0.02)


def open_circuit(services: Services, service: str) -> bool:
    """Whether the circuit is open: of all processes the most open is shown, a second late at most."""
    page = services.request("GET", "/metrics")[2].decode()
    return f'serving_circuit_state{{service="{service}"}} 1.0' in page


# RabbitMQ and Elasticsearch take long to start again; `make chaos` kills them.
@pytest.mark.parametrize(
    ("name", "how"), [*((name, frozen) for name in PARTS), ("postgres", killed), ("redis-cache", killed)]
)
def test_health_is_true_soon_after_a_fault_and_after_its_end(services: Services, name: str, how: Any) -> None:
    part, service = PARTS[name]
    until(services, part, is_ok=True)
    with how(services, name):
        assert until(services, part, is_ok=False) < TRUE_WITHIN_S + SLACK_S
        eventually(lambda: open_circuit(services, service), limit=10)
        # Nobody who asks how things are waits for what is away.
        took = []
        for _ in range(5):
            began = time.monotonic()
            report = services.get("/health/ready")[1]
            took.append(time.monotonic() - began)
            assert (report["ready"], report["status"]) == (True, "degraded")
        assert sorted(took)[2] < 0.9, took
    assert until(services, part, is_ok=True) < TRUE_WITHIN_S + SLACK_S
    eventually(lambda: not open_circuit(services, service), limit=10)


def test_while_the_database_hangs_every_call_that_needs_it_is_answered_at_once(services: Services) -> None:
    known = services.accepted(IRIS)
    eventually(lambda: services.get(f"/v1/predictions/{known}")[1]["status"] == "succeeded")
    with frozen(services, "postgres"):
        until(services, "database", is_ok=False)
        eventually(lambda: open_circuit(services, "postgresql"), limit=10)
        took = []
        for _ in range(10):
            began = time.monotonic()
            status, answer = services.get("/v1/predictions")
            took.append(time.monotonic() - began)
            assert (status, answer["status"]) == (503, 503), answer
            status, answer, seconds = timed(services, "/v1/predictions", IRIS)
            took.append(seconds)
            assert (status, answer["code"]) == (503, "unavailable"), answer
        assert sorted(took)[len(took) // 2] < 1.0, took
    eventually(lambda: services.post("/v1/predictions", IRIS)[0] == 201, limit=10)


def test_while_the_record_store_hangs_a_search_is_refused_at_once(services: Services) -> None:
    with frozen(services, "elasticsearch"):
        until(services, "record store", is_ok=False)
        eventually(lambda: open_circuit(services, "elasticsearch"), limit=10)
        took = []
        for _ in range(5):
            began = time.monotonic()
            status, _ = services.get("/api/records")
            took.append(time.monotonic() - began)
            assert status == 503
        assert sorted(took)[2] < 1.0, took
    eventually(lambda: services.get("/api/records")[0] == 200, limit=20)
