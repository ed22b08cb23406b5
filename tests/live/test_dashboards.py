"""Every panel of the dashboards has an answer while a real stack predicts, fails, refuses, waits and caches.

`tests/contracts/test_dashboard_queries.py` asks the same of made-up series, and what each panel must not show.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from serving_site.stack import install, observing
from serving_site.stack.observing import Manner
from serving_site.stack.server import ServerMissing, free_port
from tests import dashboards
from tests.contracts.test_dashboard_queries import counted, series
from tests.running import ROOT
from tests.services import Services
from tests.waiting import repeating

#: Models that do what those of the demo do not: one that fails, one that is slow.
MODELS = """
import django
django.setup()
from tests import cast
cast.register("demo", "boards-failing", cast.raising())
cast.register("demo", "boards-slow", cast.slow(200))
"""
#: Right without rows where no page of ours is broken, and no version runs in a process of its own.
RIGHTLY_EMPTY = {"errors: Unexpected exceptions A", "overview: Circuits of versions A"}
#: What each exporter's metrics begin with: their panels are rightly empty where it is not and cannot be installed.
TOLD_BY = {
    "Node exporter": "node_",
    "PostgreSQL exporter": "pg_",
    "Redis exporter": "redis_",
    "Elasticsearch exporter": "elasticsearch_",
}
LIMIT_S = 240


@pytest.fixture(scope="module")
def models(services: Services) -> Iterator[None]:
    """They answer nobody afterwards."""
    environment = {**os.environ, **services.stack.environment, "SERVING_ROLE": "prepare"}
    subprocess.run([sys.executable, "-c", MODELS], cwd=ROOT, env=environment, check=True, timeout=240)
    body = json.dumps({"cache_ttl_s": 5}).encode()
    headers = {"Authorization": f"Bearer {services.key}", "Content-Type": "application/json"}
    assert services.request("PATCH", "/api/models/boards-failing", body, headers)[0] == 200
    yield
    for name in ("boards-failing", "boards-slow"):
        assert services.request("DELETE", f"/api/models/{name}/aliases/champion", headers=headers)[0] == 204


@pytest.fixture(scope="module")
def prometheus(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of one that reads this stack, and knows what was measured a day and a week ago."""
    install.ensure("Prometheus", "Alertmanager")
    with suppress(ServerMissing, subprocess.CalledProcessError):
        install.ensure(*install.EXPORTERS)
    root: Path = tmp_path_factory.mktemp("boards")
    (root / "prometheus" / "data").mkdir(parents=True)
    lines = series(int(time.time()), (7, 1), after=LIMIT_S + 600)
    (root / "series").write_text("\n".join(lines) + "\n")
    promtool = shutil.which("promtool")
    assert promtool is not None
    command = [
        str(word)
        for word in (
            promtool,
            "tsdb",
            "create-blocks-from",
            "openmetrics",
            root / "series",
            root / "prometheus" / "data",
        )
    ]
    subprocess.run(command, check=True, capture_output=True)
    stack = services.stack
    processes = stack.processes.values()
    started = observing.start(
        root, servers=stack.servers, processes=processes, port_of=lambda _: free_port(), manner=Manner()
    )
    yield started["prometheus"].url
    for server in started.values():
        server.stop()


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("models")
def test_every_panel_has_an_answer_while_calls_of_all_kinds_come(services: Services, prometheus: str) -> None:
    asked: dict[str, Callable[[], Any]] = {
        target.name: lambda query=target.query: _measured(prometheus, query)  # type: ignore[misc]
        for target in dashboards.targets("prometheus")
    }
    store = services.stack.servers["elasticsearch"].url
    for target in dashboards.targets("records"):
        asked[target.name] = lambda query=target.query: _recorded(store, query)  # type: ignore[misc]
    silent = RIGHTLY_EMPTY | _of_absent_exporters()
    assert set(asked) > silent
    empty, end = set(asked) - silent, time.monotonic() + LIMIT_S
    with _calls(services):
        while empty and time.monotonic() < end:
            time.sleep(5)
            empty = {name for name in empty if not asked[name]()}
    assert sorted(empty) == []


def _of_absent_exporters() -> set[str]:
    beginnings = [TOLD_BY[name] for name in install.missing(*install.EXPORTERS)]
    return {
        target.name
        for target in dashboards.targets("prometheus")
        if any(re.search(rf"\b{beginning}", target.query["expr"]) for beginning in beginnings)
    }


def _measured(prometheus: str, query: Any) -> Any:
    asked = urlencode({"query": dashboards.promql(query["expr"])})
    try:
        with urlopen(f"{prometheus}/api/v1/query?{asked}", timeout=30) as answer:
            return json.load(answer)["data"]["result"]
    except HTTPError as error:
        raise AssertionError(f"{query['expr']}: {error.read().decode()}") from error


def _recorded(store: str, query: Any) -> int:
    now = int(time.time() * 1000)
    body = dashboards.search(query, since=now - 3_600_000, until=now)
    headers = {"Content-Type": "application/json"}
    asked = Request(f"{store}/serving-predictions-*/_search", json.dumps(body).encode(), headers)
    try:
        with urlopen(asked, timeout=30) as answer:
            return counted(json.load(answer))
    except HTTPError as error:
        raise AssertionError(f"{query}: {error.read().decode()}") from error


def _calls(services: Services) -> AbstractContextManager[None]:
    """Calls of every kind, each several times between two looks of Prometheus, until the block ends."""
    flower = {"name": "input", "shape": [1, 4], "datatype": "FP64", "data": [5.1, 3.5, 1.4, 0.2]}
    queued = {"input": {"instances": [[6.7, 3.0, 5.2, 2.3]]}}

    def pair(*row: float) -> dict[str, Any]:
        return {"inputs": [{"name": "input", "shape": [1, 2], "datatype": "FP64", "data": list(row)}]}

    return repeating(
        lambda: services.post("/v2/models/iris/infer", {"inputs": [flower]}),
        lambda: services.post("/v2/models/iris/infer", {"inputs": [{**flower, "shape": [1, 99]}]}),
        lambda: services.post("/v2/models/boards-failing/infer", pair(5000, 1)),
        lambda: services.post("/v2/models/boards-failing/infer", pair(1, 2)),
        lambda: services.post("/v2/models/boards-slow/infer", pair(1, 2)),
        lambda: services.post("/v2/models/nobody/infer", pair(1, 2)),
        lambda: services.post("/v1/predictions", {"model": "diabetes", **queued}),
        lambda: services.post("/v1/predictions", {"model": "iris", **queued}, Prefer="wait=5"),
        lambda: services.get("/api/records?limit=1"),
        lambda: services.get("/api/records/nothing"),
        threads=2,
        pause=0.5,
    )
