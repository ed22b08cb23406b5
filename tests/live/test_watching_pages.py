"""The monitoring pages on running servers of both modes: every process tells of itself, what was asked is drawn."""

from __future__ import annotations

import json
import random
from http.cookiejar import CookieJar
from typing import Any
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, build_opener

import pytest

from serving_site import traffic
from serving_site.traffic import Client, Traffic
from tests.running import Server
from tests.services import Services
from tests.waiting import eventually

PAGES = ("overview", "predictions", "performance", "errors")
#: Records are searchable within two seconds; samples of every process lie a quarter of a minute apart.
WITHIN_S = 60


@pytest.fixture(scope="module")
def person(server: Server) -> OpenerDirector:
    """Opens pages as the demo administrator."""
    jar = CookieJar()
    opener = build_opener(HTTPCookieProcessor(jar))
    opener.open(f"{server.url}/admin/login/", timeout=30).close()
    token = next(cookie.value for cookie in jar if cookie.name == "csrftoken")
    admin = server.credentials["admin"]
    form = {"username": admin["user"], "password": admin["password"], "csrfmiddlewaretoken": token, "next": "/"}
    opener.open(f"{server.url}/admin/login/", urlencode(form).encode(), timeout=30).close()
    return opener


def figures(server: Server, person: OpenerDirector, name: str) -> dict[str, Any]:
    with person.open(f"{server.url}/admin/watch/{name}/figures?project=demo", timeout=30) as answer:
        return json.loads(answer.read())


def counted(shown: dict[str, Any], key: str) -> float:
    chart = next(chart for chart in shown["charts"] if chart["key"] == key)
    return sum(value or 0 for series in chart["series"] for value in series["values"])


def test_what_was_asked_is_drawn_on_every_page(server: Server, person: OpenerDirector) -> None:
    flower = {"inputs": [{"name": "input", "shape": [1, 4], "datatype": "FP64", "data": [5.1, 3.5, 1.4, 0.2]}]}
    wrong = {"inputs": [{**flower["inputs"][0], "shape": [1, 3], "data": [1.0, 2.0, 3.0]}]}
    assert server.post("/v2/models/iris/infer", flower)[0] == 200
    assert server.post("/v2/models/iris/infer", wrong)[0] == 400
    for name, key in zip(PAGES, ("throughput", "models", "latency", "codes"), strict=True):
        shown: dict[str, Any] = {}

        def is_drawn(name: str = name, key: str = key, shown: dict[str, Any] = shown) -> bool:
            shown.update(figures(server, person, name))
            return counted(shown, key) > 0

        # The other of two server processes may still show what it found a few seconds before.
        eventually(is_drawn, limit=WITHIN_S, pause=0.3)
        assert shown["notes"] == []


def test_every_process_is_on_the_status_page(server: Server, person: OpenerDirector) -> None:
    def names() -> set[str]:
        shown = figures(server, person, "status")
        table = next(table for table in shown["tables"] if table["key"] == "processes")
        return {row[0]["text"] for row in table["rows"]}

    wanted = {"web", "keeper", "worker standard", "worker operations"} if isinstance(server, Services) else {"server"}
    eventually(lambda: wanted <= names(), limit=WITHIN_S, pause=0.3)
    parts = next(table for table in figures(server, person, "status")["tables"] if table["key"] == "parts")
    assert {"database", "queue", "record store", "spool"} <= {row[0]["text"] for row in parts["rows"]}


def test_steady_traffic_is_answered(server: Server) -> None:
    client = Client(server.url, server.key)
    run = Traffic(client)
    run.look({"iris": ({"a": 5.1, "b": 3.5, "c": 1.4, "d": 0.2},)})
    assert run.known["iris"].versions
    for kind, *_ in traffic.KINDS:
        kind(run, random.Random(3))
    assert client.unanswered == 0
