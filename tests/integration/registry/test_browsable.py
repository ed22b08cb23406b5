"""The API in a browser: pages with forms for a signed-in person, protected like every form."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from models_registry.models import Alias
from tests.integration.registry.conftest import Cast

PAGES = [
    "/api/models",
    "/api/models/iris",
    "/api/models/iris/versions",
    "/api/models/iris/aliases/champion",
    "/api/keys",
]


@pytest.mark.parametrize("path", PAGES)
def test_a_person_gets_pages_with_forms(cast: Cast, path: str) -> None:
    page = cast.client("superuser").get(path, headers={"accept": "text/html"})
    assert page.status_code == 200
    assert "<form" in page.content.decode()
    assert "https://" not in page.content.decode().replace("https://www.django-rest-framework.org/", "")


@pytest.mark.parametrize("path", PAGES)
def test_a_program_gets_json_whatever_the_path(cast: Cast, path: str) -> None:
    assert cast.key("read", "manage").get(path)["Content-Type"] == "application/json"


def test_another_site_cannot_act_for_a_signed_in_person(cast: Cast) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create(username="root", is_staff=True, is_superuser=True))
    answer = client.delete("/api/models/iris/aliases/champion")
    assert answer.status_code == 403
    assert Alias.objects.filter(name="champion").exists()


def test_a_person_chooses_the_project(cast: Cast) -> None:
    client = cast.client("superuser")
    names = [model["name"] for model in client.get("/api/models?project=theirs").json()["results"]]
    assert names == ["secret-model"]
    assert client.get("/api/models?project=absent").status_code == 404
