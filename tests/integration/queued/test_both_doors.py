"""The lane and Django's view give the same status, headers and body, and the lane leaves people to Django."""

from __future__ import annotations

import gzip
import json
import re
from typing import Any
from uuid import uuid4

import pytest

from models_registry import snapshot
from models_registry.models import ApiKey, Project
from monitoring import metrics
from predictions import places
from tests import cast, doors

ONE = {"model": "adder", "input": {"instances": [[1, 2]]}}
PATH = "/v1/predictions"
#: What the protocol says; the rest are Django's own (security, Vary, Allow).
PROTOCOL = ("content-type", "content-length", "x-prediction-id", "x-request-id", "idempotency-replayed", "retry-after")
PROTOCOL += ("www-authenticate",)
#: What differs between two predictions: times, ids, and their places in the queue.
_OWN = re.compile(
    rb'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|"queue":\{[^}]*\}'
)


@pytest.fixture
def key(register: Any) -> str:
    register("adder", cast.adder(), open_limit=50)
    _, secret = ApiKey.issue(Project.objects.get(), "tests", scopes=["predict", "read"])
    snapshot.refresh()
    return secret


def same(path: str, body: Any, *, method: str = "POST", **headers: str) -> tuple[int, Any]:
    """The answer of both doors, once it was found to be the same."""
    found = []
    for door in (doors.lane(), doors.view()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", "X-Request-ID": "mine-1"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        status, answered, content = doors.call(door, path, data, sent, method=method)
        told = {name: _OWN.sub(b"*", answered[name].encode()) for name in PROTOCOL if name in answered}
        found.append((status, told, _OWN.sub(b"*", content), content))
        assert answered["content-length"] == str(len(content))
    lane, view = found
    # The numbers that were cut out are of different length.
    for answer in found:
        del answer[1]["content-length"]
    assert lane[:3] == view[:3]
    return lane[0], json.loads(lane[3])


def test_what_is_accepted_is_answered_alike(key: str) -> None:
    bearer = f"Bearer {key}"
    assert same(PATH, ONE, Authorization=bearer)[0] == 201
    assert same(PATH, ONE, Authorization=bearer, Prefer="respond-async", Cancel_After="90s")[0] == 202
    assert same("/v1/models/demo/adder/predictions", {"input": ONE["input"]}, Authorization=bearer)[0] == 201
    assert same(PATH, gzip.compress(json.dumps(ONE).encode()), Authorization=bearer, Content_Encoding="gzip")[0] == 201
    doors.call(doors.view(), PATH, json.dumps(ONE).encode(), {"Authorization": bearer, "Idempotency-Key": "k"})
    status, shown = same(PATH, ONE, Authorization=bearer, Idempotency_Key="k")
    assert status == 201
    assert same(f"{PATH}/{shown['id']}", b"", method="GET", Authorization=bearer) == (200, shown)


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        (PATH, b"{", {}, 400),
        (PATH, {"model": "adder"}, {}, 422),
        (PATH, ONE | {"input": {"instances": [[1, 2], [1, "x"]]}}, {}, 422),
        (PATH, ONE | {"model": "other/adder"}, {}, 404),
        (PATH, ONE, {"Prefer": "wait=x"}, 422),
        (PATH, ONE, {"Idempotency_Key": ""}, 400),
        (PATH, ONE, {"Content_Encoding": "br"}, 415),
        (PATH, b" " * (8 * 2**20 + 1), {}, 413),
        (PATH, ONE, {"Transfer_Encoding": "chunked"}, 411),
        (PATH, ONE, {"Content_Type": "text/plain"}, 415),
        (PATH, ONE, {"Authorization": "Bearer nothing"}, 401),
        (PATH, ONE, {"Authorization": ""}, 401),
        ("/v1/models/demo/adder/predictions", ONE, {}, 422),
        ("/v1/models/demo/nobody/predictions", {"input": {}}, {}, 404),
    ],
)
def test_what_is_refused_is_refused_alike(path: str, body: Any, headers: dict[str, str], status: int, key: str) -> None:
    assert same(path, body, **({"Authorization": f"Bearer {key}"} | headers))[0] == status


def test_a_key_without_the_scope_is_refused_alike_and_counted(key: str) -> None:
    _, narrow = ApiKey.issue(Project.objects.get(), "narrow", scopes=["manage"])
    snapshot.refresh()
    before = metrics.value(metrics.REFUSALS, ("replicate", "forbidden"))
    assert same(PATH, ONE, Authorization=f"Bearer {narrow}")[0] == 403
    assert same(f"{PATH}/{uuid4()}", b"", method="GET", Authorization=f"Bearer {narrow}")[0] == 403
    assert metrics.value(metrics.REFUSALS, ("replicate", "forbidden")) == before + 4


def test_an_unknown_id_is_not_found_alike(key: str) -> None:
    for identifier in (uuid4(), "not-an-id"):
        assert same(f"{PATH}/{identifier}", b"", method="GET", Authorization=f"Bearer {key}")[0] == 404


@pytest.mark.parametrize("header", [{"Cookie": "sessionid=x"}, {"Accept": "text/html"}, {"Host": "elsewhere.example"}])
def test_people_and_strange_hosts_are_left_to_django(header: dict[str, str], key: str) -> None:
    sent = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", **header}
    answered = doors.call(doors.lane(), PATH, json.dumps(ONE).encode(), sent)[1]
    assert "x-content-type-options" in answered
    assert "x-content-type-options" not in doors.call(doors.lane(), PATH, json.dumps(ONE).encode(), {**sent, **BACK})[1]


#: The same request as the lane takes it.
BACK = {"Cookie": "", "Accept": "*/*", "Host": "127.0.0.1"}


def test_beyond_djangos_half_of_the_threads_the_lane_refuses(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "DJANGO", places.Places(1, what="the server"))
    sent = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    with places.DJANGO.hold():
        status, headers, _ = doors.call(doors.lane(), PATH, json.dumps(ONE).encode(), sent)
    assert (status, headers["retry-after"]) == (503, "1")
    assert doors.call(doors.lane(), PATH, json.dumps(ONE).encode(), sent)[0] == 201
