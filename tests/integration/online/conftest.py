"""A served registry of the cast, a key, and both doors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from models_registry import snapshot
from models_registry.models import ApiKey, ModelVersion
from tests import cast, doors

Infer = Callable[..., tuple[int, dict[str, str], Any]]


@pytest.fixture(params=["lane", "view"])
def door(request: pytest.FixtureRequest) -> Any:
    return getattr(doors, request.param)()


@pytest.fixture
def adder(transactional_db: None) -> Iterator[ModelVersion]:
    """The first version of demo/adder, which answers as champion."""
    version = cast.register("demo", "adder", cast.adder())
    snapshot.refresh()
    yield version
    snapshot.close()


@pytest.fixture
def secret(adder: ModelVersion) -> str:
    found = ApiKey.issue(adder.model.project, "tests", scopes=["predict", "read"])[1]
    snapshot.refresh()
    return found


@pytest.fixture
def infer(door: Any, secret: str) -> Infer:
    """POST to a model through the door; (status, headers, JSON or bytes)."""

    def post(document: Any = None, *, path: str = "/v2/models/adder/infer", **headers: str) -> Any:
        body = document if isinstance(document, bytes) else json.dumps(document or ask([1, 2])).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        status, given, content = doors.call(door, path, body, {"Authorization": f"Bearer {secret}", **named})
        is_json = given["content-type"] == "application/json"
        return status, given, json.loads(content) if is_json else content

    return post


def ask(*rows: list[float], **more: Any) -> dict[str, Any]:
    tensor = {"name": "input", "shape": [len(rows), 2], "datatype": "FP64", "data": list(rows)}
    return {"inputs": [tensor], **more}
