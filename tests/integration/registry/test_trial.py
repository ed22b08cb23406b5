"""The page to try a version: fields from the signature, the online path's own answer, faults at their field."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from models_registry import snapshot
from models_registry.models import ModelVersion
from tests import cast as models
from tests.integration.registry.conftest import Cast


@pytest.fixture
def adder(cast: Cast) -> ModelVersion:
    version: ModelVersion = models.register("ours", "adder", models.adder())
    snapshot.refresh()
    return version


@pytest.fixture
def person(cast: Cast) -> Client:
    return cast.client("superuser")


def page_of(version: ModelVersion) -> str:
    return reverse("try-version", args=[version.pk])


def test_a_row_is_answered(person: Client, adder: ModelVersion) -> None:
    answer = person.post(page_of(adder), {"input.0": "20", "input.1": "22"})
    assert answer.context["answer"]["outputs"][0] == {"name": "value", "values": [42.0]}
    assert answer.context["answer"]["id"] in answer.content.decode()


@pytest.mark.parametrize("text", ["many", "NaN", "1e400", "", "1" * 5000, "<script>alert(1)</script>"])
def test_a_value_that_does_not_fit_is_a_fault_of_the_form(person: Client, adder: ModelVersion, text: str) -> None:
    answer = person.post(page_of(adder), {"input.0": text, "input.1": "22"})
    assert answer.status_code == 200
    assert answer.context["form"].errors
    assert b"<script>alert" not in answer.content


def test_columns_may_be_missing_where_the_signature_says_so(cast: Cast, person: Client) -> None:
    version = models.register("ours", "text", models.text())
    snapshot.refresh()
    answer = person.post(page_of(version), {"word": "", "number": ""})
    outputs: list[dict[str, Any]] = answer.context["answer"]["outputs"]
    assert {output["name"]: output["values"] for output in outputs} == {"echo": ["missing"], "value": [0.0]}


def test_a_classifier_shows_its_probabilities(cast: Cast, person: Client) -> None:
    version = models.register("ours", "classifier", models.classifier())
    snapshot.refresh()
    answer = person.post(page_of(version), {"input.0": "9", "input.1": "1"})
    shown = {output["name"]: output for output in answer.context["answer"]["outputs"]}
    assert [name for name, _, _ in shown["probabilities"]["bars"]] == ["no", "yes"]


@pytest.mark.parametrize("who", ["anonymous", "visitor", "staff"])
def test_whoever_may_not_predict_is_refused(cast: Cast, adder: ModelVersion, who: str) -> None:
    client = cast.client(who)
    assert client.get(page_of(adder)).status_code in (302, 403)
    assert client.post(page_of(adder), {"input.0": "1", "input.1": "2"}).status_code in (302, 403)


def test_a_version_that_is_not_ready_cannot_be_tried(cast: Cast, person: Client) -> None:
    ModelVersion.objects.filter(number=3).update(status="retired")
    snapshot.refresh(wait=0)
    version = cast.iris.versions.get(number=3)
    answer = person.post(page_of(version), {f"input.{place}": "1" for place in range(4)})
    assert "not found" in str(answer.context["form"].non_field_errors())
