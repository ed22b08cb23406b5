"""The admin: every page renders for a superuser, escapes what others wrote, and refuses whoever may not."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import NoReverseMatch, reverse

from models_registry.models import Alias, ApiKey, DeploymentEvent, ModelVersion
from predictions.models import Prediction
from tests.integration.registry.conftest import Cast, add_version
from tests.integration.registry.test_verbs import _prediction

LIVE = "<script>alert(1)</script><img src=x onerror=alert(2)>"


KINDS = [pytest.param(kind, id=kind._meta.label_lower) for kind in admin.site._registry]


@pytest.fixture
def person(cast: Cast) -> Client:
    return cast.client("superuser")


@pytest.fixture
def rows(cast: Cast) -> dict[Any, Any]:
    """One row of every kind, with markup wherever a person or a model could have written some."""
    version = add_version(cast.iris, 7, "rejected")
    report = {"steps": [{"name": LIVE, "outcome": "failed", "detail": LIVE, "seconds": 0.1}]}
    ModelVersion.objects.filter(pk=version.pk).update(reason=LIVE, filename=LIVE, report=report, created_by=LIVE)
    event = DeploymentEvent.objects.create(model=cast.iris, alias="x", verb="set", who=LIVE, why=LIVE)
    key, _ = ApiKey.issue(cast.ours, LIVE[:64], scopes=["read"])
    cast.iris.configure(description=LIVE)
    prediction = _prediction(
        cast,
        version,
        status="failed",
        completed_at=version.created_at,
        input=f'{{"instances": ["{LIVE}"]}}'.encode(),
        error=LIVE,
        request_id=LIVE,
    )
    return {
        ModelVersion: version,
        DeploymentEvent: event,
        ApiKey: key,
        Prediction: prediction,
        Alias: Alias.objects.get(),
        type(cast.iris): cast.iris,
        type(cast.ours): cast.ours,
    }


def _name(kind: Any, page: str) -> str:
    return f"admin:{kind._meta.app_label}_{kind._meta.model_name}_{page}"


def test_whoever_signs_in_without_having_asked_for_a_page_gets_to_the_admin(db: None) -> None:
    User.objects.create_superuser("somebody", password="a long enough one")
    answer = Client().post(reverse("admin:login"), {"username": "somebody", "password": "a long enough one"})
    assert (answer.status_code, answer["Location"]) == (302, reverse("admin:index"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_list_and_page_renders_without_live_markup(person: Client, rows: dict[Any, Any], kind: Any) -> None:
    pages = [reverse(_name(kind, "changelist")), reverse(_name(kind, "changelist")) + "?q=iris"]
    if kind in rows:
        pages.append(reverse(_name(kind, "change"), args=[rows[kind].pk]))
    for page in pages:
        answer = person.get(page)
        assert answer.status_code == 200, page
        assert b"<script>alert" not in answer.content
        assert b"<img src=x" not in answer.content


def _own_pages(rows: dict[Any, Any], cast: Cast) -> list[str]:
    version, key = rows[ModelVersion], rows[ApiKey]
    return [
        reverse("admin:index"),
        reverse("admin:publish-version"),
        reverse("admin:key-issue"),
        reverse("admin:key-revoke", args=[key.pk]),
        reverse("admin:model-alias", args=[cast.iris.pk]),
        reverse("admin:alias-rollback", args=[rows[Alias].pk]),
        reverse("admin:alias-remove", args=[rows[Alias].pk]),
        reverse("admin:version-retire", args=[version.pk]),
        reverse("admin:version-progress", args=[version.pk]),
    ]


def test_every_page_of_our_own_renders_without_live_markup(person: Client, rows: dict[Any, Any], cast: Cast) -> None:
    for page in _own_pages(rows, cast):
        answer = person.get(page)
        assert answer.status_code == 200, page
        assert b"<script>alert" not in answer.content
        assert b"<img src=x" not in answer.content


@pytest.mark.parametrize("who", ["anonymous", "visitor", "staff"])
def test_no_page_answers_whoever_may_not_see_it(cast: Cast, rows: dict[Any, Any], who: str) -> None:
    client = cast.client(who)
    for page in _own_pages(rows, cast)[1:]:
        assert client.get(page).status_code in (302, 403), page
        assert client.post(page, {"why": "x"}).status_code in (302, 403), page
    for kind in rows:
        assert client.get(reverse(_name(kind, "changelist"))).status_code in (302, 403)


@pytest.mark.parametrize("kind", [ModelVersion, Alias, DeploymentEvent, ApiKey, Prediction])
def test_what_verbs_change_is_not_edited_or_deleted_by_hand(person: Client, rows: dict[Any, Any], kind: Any) -> None:
    assert person.get(reverse(_name(kind, "add"))).status_code == 403
    assert person.post(reverse(_name(kind, "delete"), args=[rows[kind].pk]), {"post": "yes"}).status_code == 403
    assert kind.objects.filter(pk=rows[kind].pk).exists()


def test_an_alias_is_moved_and_rolled_back_by_hand(person: Client, cast: Cast) -> None:
    third = cast.iris.versions.get(number=3)
    where = reverse("admin:model-alias", args=[cast.iris.pk])
    answer = person.post(where, {"alias": "champion", "version": str(third.pk), "why": "by hand"})
    assert answer.status_code == 302
    assert Alias.objects.get().version == third
    event = DeploymentEvent.objects.first()
    assert event is not None
    assert (event.who, event.why) == ("person", "by hand")
    person.post(reverse("admin:alias-rollback", args=[Alias.objects.get().pk]), {"why": ""})
    assert Alias.objects.get().version.number == 2


def test_what_is_refused_says_why_on_the_form(person: Client, cast: Cast) -> None:
    version = cast.iris.versions.get(number=2)
    answer = person.post(reverse("admin:version-retire", args=[version.pk]), {"why": ""})
    assert answer.status_code == 200
    assert "answers for alias champion" in answer.content.decode()


def test_an_issued_key_is_shown_once(person: Client, cast: Cast) -> None:
    body = {"project": str(cast.ours.pk), "name": "robot", "scopes": ["read"], "model_names": "iris"}
    answer = person.post(reverse("admin:key-issue"), body)
    key = ApiKey.objects.get(name="robot")
    assert "no-store" in answer["Cache-Control"]
    assert key.prefix in answer.content.decode()
    assert key.model_names == ["iris"]
    shown = person.get(reverse(_name(ApiKey, "change"), args=[key.pk])).content.decode()
    assert key.digest not in shown


def test_a_key_is_revoked_by_hand(person: Client, cast: Cast) -> None:
    key, _ = ApiKey.issue(cast.ours, "x", scopes=["read"])
    person.post(reverse("admin:key-revoke", args=[key.pk]), {})
    key.refresh_from_db()
    assert key.revoked_at is not None


def test_the_list_of_predictions_counts_nothing(person: Client, rows: dict[Any, Any]) -> None:
    with CaptureQueriesContext(connection) as asked:
        person.get(reverse(_name(Prediction, "changelist")))
    counted = [query["sql"] for query in asked.captured_queries if "COUNT(" in query["sql"].upper()]
    assert not [sql for sql in counted if "predictions_prediction" in sql]


def test_a_prediction_is_found_by_its_id(person: Client, rows: dict[Any, Any]) -> None:
    where = reverse(_name(Prediction, "changelist"))
    identifier = str(rows[Prediction].pk)
    assert identifier in person.get(where, {"q": identifier}).content.decode()
    assert identifier in person.get(where, {"q": "iris"}).content.decode()
    assert (
        reverse(_name(Prediction, "change"), args=[identifier]) not in person.get(where, {"q": "ir"}).content.decode()
    )


def test_a_version_being_published_asks_again(person: Client, cast: Cast) -> None:
    version = add_version(cast.iris, 8, "publishing")
    assert (
        'hx-trigger="every 1s"'
        in person.get(reverse(_name(ModelVersion, "change"), args=[version.pk])).content.decode()
    )
    where = reverse("admin:version-progress", args=[version.pk])
    assert "HX-Refresh" not in person.get(where)
    ModelVersion.objects.filter(pk=version.pk).update(status="ready")
    assert person.get(where)["HX-Refresh"] == "true"


@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/robots.txt", 200), ("/nowhere", 404)])
def test_pages_for_people_load_nothing_from_elsewhere(db: None, path: str, status: int) -> None:
    answer = Client(headers={"accept": "text/html"}).get(path)
    assert answer.status_code == status
    page = answer.content.decode()
    assert 'src="http' not in page
    assert 'href="http' not in page


def test_the_sidebar_leads_only_to_pages_that_exist(person: Client) -> None:
    from serving_site.navigation import UNFOLD

    for group in UNFOLD["SIDEBAR"]["navigation"]:
        for item in group["items"]:
            try:
                answer = person.get(str(item["link"]), headers={"accept": "text/html"})
            except NoReverseMatch:
                pytest.fail(f"{item['title']} leads nowhere")
            assert answer.status_code == 200, item["title"]
