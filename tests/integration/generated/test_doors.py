"""No generated request gets a 5xx through any door, and every answer is the one an independent judge expects."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given

from models_registry import snapshot
from models_registry.models import ApiKey
from predictions.models import Prediction
from tests import cast
from tests.doors import call, lane, view
from tests.generated import cases
from tests.integration.generated import requests
from tests.integration.generated.requests import Refused, Sent

INFER = "/v2/models/text/infer"
KEY: dict[str, str] = {}
#: What a client may be told about its own request.
REFUSALS = {400, 404, 411, 413, 415, 422}


@pytest.fixture(autouse=True)
def served(transactional_db: None) -> Iterator[None]:
    """The member `text` and the key that all requests carry."""
    version = cast.register("demo", "text", cast.text())
    _, secret = ApiKey.issue(version.model.project, "tests", scopes=["predict", "read"])
    KEY["Authorization"] = f"Bearer {secret}"
    snapshot.refresh()
    logging.disable(logging.WARNING)  # a line for each of so many requests would only fill the captured log
    yield
    logging.disable(logging.NOTSET)
    snapshot.close()


#: The full form sends 60,000 requests through one door.
pytestmark = pytest.mark.timeout(3600)
DOORS = pytest.mark.parametrize("door", [lane, view], ids=["lane", "view"])


def checked(answer: tuple[int, dict[str, str], bytes]) -> tuple[int, Any]:
    """Status and JSON, after the rules that every answer of `/v2` keeps."""
    status, headers, body = answer
    assert status == 200 or status in REFUSALS, (status, body)
    assert headers["content-length"] == str(len(body))
    if status != 200:
        assert headers["content-type"] == "application/json"
        document = json.loads(body)
        assert isinstance(document["error"], str)
        assert 0 < len(document["error"]) < 1000
        return status, document
    length = headers.get("inference-header-content-length")
    return status, json.loads(body[: int(length)] if length else body)


@DOORS
def test_generated_requests_are_answered_as_the_judge_says(door: Any) -> None:
    application = door()

    @given(sent=requests.infer())
    @cases(600, full=60_000)
    def answered(sent: Sent) -> None:
        status, document = checked(call(application, INFER, sent.body, {**sent.headers, **KEY}))
        if sent.document is None:
            return
        try:
            expected = requests.right_answer(sent.document)
        except Refused:
            assert status == 400, document
        else:
            assert status == 200, document
            assert {item["name"]: item["data"] for item in document["outputs"]} == expected

    answered()


@DOORS
def test_generated_binary_requests_never_break_a_door(door: Any) -> None:
    application = door()

    @given(sent=requests.binary_infer())
    @cases(500, full=20_000)
    def answered(sent: Sent) -> None:
        checked(call(application, INFER, sent.body, {**sent.headers, **KEY}))

    answered()


def test_generated_predictions_are_whole_rows_or_refused() -> None:
    accepted: set[str] = set()
    application = view()

    @given(sent=requests.prediction())
    @cases(600, full=20_000)
    def answered(sent: Sent) -> None:
        status, headers, body = call(application, "/v1/predictions", sent.body, {**sent.headers, **KEY})
        document = json.loads(body)
        assert status in {201, 202} or status in REFUSALS, (status, document)
        if status in {201, 202}:
            accepted.add(document["id"])
        else:
            assert headers["content-type"] == "application/problem+json"
            assert (document["status"], bool(document["code"])) == (status, True)
        if sent.document is None or {"Prefer", "Cancel-After", "Idempotency-Key"} & set(sent.headers):
            return
        try:
            rows = requests.right_instances(sent.document)
        except Refused:
            assert status in {400, 404, 422}, document
        else:
            assert status == 201, document
            assert Prediction.objects.get(id=document["id"]).rows == rows

    answered()
    assert {str(found) for found in Prediction.objects.values_list("id", flat=True)} == accepted
