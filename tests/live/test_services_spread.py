"""Four workers on one queue share the work of a slow model evenly."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from serving_site.stack import processes
from serving_site.stack.processes import Process
from serving_site.stack.server import free_port
from tests import cast
from tests.live.test_services import scraped
from tests.services import Services
from tests.waiting import eventually

QUEUE = "predictions.default.standard"
SLOW = {"model": "busy", "input": {"instances": [[1, 2]]}}
PREDICTIONS = 160


@pytest.fixture
def four_workers(services: Services) -> Iterator[list[int]]:
    """The metrics ports of four workers of one queue: the stack's own and three more."""
    root = services.stack.root
    more = [
        Process(
            processes.worker(f"worker-more-{number}", QUEUE, port=free_port(), alive=root / f"more-{number}.alive"),
            root,
            services.stack.environment,
        )
        for number in range(3)
    ]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda process: process.start(), more))
    yield [services.stack.processes["worker-standard"].plan.port, *(process.plan.port for process in more)]
    for process in more:
        process.stop()


def test_no_worker_does_half_as_much_again_as_another(services: Services, four_workers: list[int]) -> None:
    status, found = services.upload("busy", cast.slow(40).model, alias="champion")
    assert status in (200, 202), found
    version = f"/api/models/busy/versions/{found['number']}"
    eventually(lambda: services.get(version)[1]["status"] == "ready", limit=60)
    # Each web process notices the alias by itself.
    eventually(lambda: {services.post("/v1/predictions", SLOW)[0] for _ in range(10)} == {201}, limit=10)
    before = [rows_of(port) for port in four_workers]
    ids = [services.accepted(SLOW) for _ in range(PREDICTIONS)]
    for identifier in ids:
        eventually(lambda i=identifier: services.get(f"/v1/predictions/{i}")[1]["status"] == "succeeded", limit=60)
    shares = [rows_of(port) - start for port, start in zip(four_workers, before, strict=True)]
    assert sum(shares) >= PREDICTIONS
    assert max(shares) <= 1.5 * min(shares), shares


def rows_of(port: int) -> float:
    """Rows of the slow model that the worker behind this port has run."""
    found = re.search(r'serving_batch_rows_sum\{model="busy".*\} (\S+)', scraped(port))
    return float(found[1]) if found is not None else 0.0
