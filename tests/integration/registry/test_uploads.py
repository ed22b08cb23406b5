"""Uploads: a model file in, a version that is ready or says why not; nothing opened that should not be."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from models_registry import publishing
from models_registry.models import Alias, ModelVersion, Project, RegisteredModel
from tests import cast as models
from tests.integration.registry.conftest import Cast


def upload(client: Client, name: str, content: bytes, filename: str = "model.onnx", **more: Any) -> Any:
    headers = more.pop("headers", {})
    body = {"file": SimpleUploadedFile(filename, content), **more}
    return client.post(f"/api/models/{name}/versions", body, headers=headers)


@pytest.fixture
def client(cast: Cast) -> Client:
    return cast.key("read", "publish", "manage")


def test_an_upload_is_accepted_and_becomes_ready(client: Client) -> None:
    answer = upload(client, "adder", models.adder().model, alias="champion", why="first")
    assert answer.status_code == 202
    said = answer.json()
    assert (said["status"], said["number"]) == ("publishing", 1)
    publishing.publish(ModelVersion.objects.get(pk=said["id"]).pk)
    shown = client.get(answer["Location"]).json()
    assert shown["status"] == "ready"
    assert shown["report"]["steps"][0]["name"] == "digest"
    assert shown["aliases"] == ["champion"]


def test_the_same_bytes_again_are_the_same_version(client: Client) -> None:
    first = upload(client, "adder", models.adder().model).json()
    again = upload(client, "adder", models.adder().model).json()
    assert again["id"] == first["id"]
    assert ModelVersion.objects.filter(model__name="adder").count() == 1


def test_an_idempotency_key_repeats_only_its_own_body(client: Client) -> None:
    key = {"Idempotency-Key": '"one"'}
    first = upload(client, "adder", models.adder().model, headers=key)
    again = upload(client, "adder", models.adder().model, headers=key)
    other = upload(client, "adder", models.adder(2).model, headers=key)
    assert again["Idempotency-Replayed"] == "true"
    assert again.json()["id"] == first.json()["id"]
    assert other.status_code == 422
    assert upload(client, "adder", models.adder().model, headers={"Idempotency-Key": "x" * 256}).status_code == 422


@pytest.mark.parametrize("filename", ["model.pkl", "model.joblib", "model.skops", "model.onnx"])
def test_a_pickle_is_refused_unopened_with_advice_and_leaves_nothing(client: Client, filename: str) -> None:
    answer = upload(client, "evil", pickle.dumps(Trap()), filename)
    assert answer.status_code == 422
    assert answer.json()["code"] == "format_not_allowed"
    assert "skops" in answer.json()["detail"]
    assert not Trap.sprung
    assert not RegisteredModel.objects.filter(name="evil").exists()


class Trap:
    """Whoever unpickles this is caught."""

    sprung = False

    def __reduce__(self) -> Any:
        return (_spring, ())


def _spring() -> None:
    Trap.sprung = True


def test_an_upload_beyond_the_limit_is_refused_before_it_is_read(client: Client, settings: Any) -> None:
    settings.SERVING = {**settings.SERVING, "UPLOAD_LIMIT": 1000}
    assert upload(client, "adder", b"x" * 2000).status_code == 413
    assert not RegisteredModel.objects.filter(name="adder").exists()


@pytest.mark.parametrize(
    "more",
    [{"status": "ready"}, {"number": "7"}, {"digest": "0" * 64}, {"created_by": "alice"}, {"file2": "x"}],
)
def test_a_field_that_is_not_the_uploaders_is_refused(client: Client, more: dict[str, str]) -> None:
    answer = upload(client, "adder", models.adder().model, **more)
    assert answer.status_code == 422
    assert not RegisteredModel.objects.filter(name="adder").exists()


def test_only_manage_sets_an_alias_with_an_upload(cast: Cast) -> None:
    client = cast.key("publish")
    assert upload(client, "adder", models.adder().model, alias="champion").status_code == 403
    assert upload(client, "adder", models.adder().model).status_code == 202
    assert not Alias.objects.filter(model__name="adder").exists()


@pytest.mark.parametrize("name", ["Bad", "infer", "a.b", "a" * 65])
def test_a_name_no_model_can_have_is_refused(client: Client, name: str) -> None:
    assert upload(client, name, models.adder().model).status_code == 422


def test_too_many_parts_are_refused(client: Client) -> None:
    body = {f"part{number}": "x" for number in range(300)}
    assert client.post("/api/models/adder/versions", body).status_code in (400, 413, 422)


def test_a_person_publishes_by_hand(cast: Cast) -> None:
    person = cast.client("superuser")
    body = {
        "project": str(Project.objects.get(name="ours").pk),
        "name": "adder",
        "file": SimpleUploadedFile("adder.onnx", models.adder().model),
        "alias": "champion",
        "why": "by hand",
    }
    answer = person.post(reverse("admin:publish-version"), body)
    version = ModelVersion.objects.get(model__name="adder")
    assert answer["Location"].endswith(f"{version.pk}/change/")
    publishing.publish(version.pk)
    page = person.get(answer["Location"]).content.decode()
    assert "SHA-256" in page
    assert ">ready<" in page


def test_a_refused_file_says_why_on_the_form(cast: Cast) -> None:
    person = cast.client("superuser")
    body = {
        "project": str(cast.ours.pk),
        "name": "evil",
        "file": SimpleUploadedFile("model.pkl", pickle.dumps([1])),
    }
    answer = person.post(reverse("admin:publish-version"), body)
    assert answer.status_code == 200
    assert "skops" in answer.content.decode()
    assert not RegisteredModel.objects.filter(name="evil").exists()
