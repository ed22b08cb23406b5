"""The OpenAPI description: generated without a warning, complete, and shown without a foreign host."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from django.test import Client


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    out = io.StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=out)
    found: dict[str, Any] = yaml.safe_load(out.getvalue())
    return found


def test_every_operation_documents_its_errors(schema: dict[str, Any]) -> None:
    for path, operations in schema["paths"].items():
        for verb in set(operations) & {"get", "post", "put", "patch", "delete"}:
            assert "401" in operations[verb]["responses"], (path, verb)
            assert "404" in operations[verb]["responses"], (path, verb)


def test_every_operation_has_a_name_of_its_own(schema: dict[str, Any]) -> None:
    names = [
        operation["operationId"]
        for operations in schema["paths"].values()
        for verb, operation in operations.items()
        if verb in {"get", "post", "put", "patch", "delete"}
    ]
    assert len(names) == len(set(names))


def test_keys_are_the_documented_way_in(schema: dict[str, Any]) -> None:
    assert schema["components"]["securitySchemes"]["key"]["scheme"] == "bearer"


def test_the_page_loads_nothing_from_elsewhere(db: None) -> None:
    page = Client().get("/api/docs").content.decode()
    assert "swagger" in page
    assert not re.findall(r"""(?:src|href)=["']https?://(?!testserver)""", page)
