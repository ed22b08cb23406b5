"""The monitoring pages: who may look, what they count, what they say when something is away, and their samples."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from models_registry.models import RegisteredModel
from monitoring import health, metrics, sampling
from monitoring.health import Part, State
from monitoring.models import Sample
from monitoring.pages.seen import REMEMBERED, UNTOLD
from monitoring.pages.views import PAGES
from monitoring.records import Value
from monitoring.stores.base import StoreUnavailable

WATCHED = [name for name, page in PAGES.items() if page.has_filters]


@pytest.fixture(autouse=True)
def _nothing_remembered():
    REMEMBERED.clear()
    yield
    REMEMBERED.clear()


@pytest.fixture
def person(watched):
    return watched.person()


class AwayStore:
    """A record store that nobody reaches."""

    def timeline(self, *_, **__):
        raise StoreUnavailable("no route to it")

    counts = search = timeline


def figures(client: Client, name: str, **filters: str) -> dict:
    answer = client.get(reverse("watch-figures", args=[name]), {"project": "ours", **filters})
    assert answer.status_code == 200, answer.content
    return answer.json()


def chart(shown: dict, key: str) -> dict:
    return next(item for item in shown["charts"] if item["key"] == key)


def totals(shown: dict) -> dict[str, float]:
    return {series["name"]: sum(value or 0 for value in series["values"]) for series in shown["series"]}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_its_figures_inside(person, name):
    answer = person.get(reverse("watch", args=[name]))
    assert answer.status_code == 200
    inside = answer.content.decode().split('<script id="figures" type="application/json">')[1].split("</script>")[0]
    assert json.loads(inside)["refresh_s"] == (PAGES[name].refresh_s or 10)


@pytest.mark.parametrize("path", ["watch", "watch-figures"])
def test_only_staff_who_may_see_records_may_look(watched, path):
    address = reverse(path, args=["overview"])
    assert Client().get(address).status_code == 302
    staff, client = User.objects.create_user("staff", password="x", is_staff=True), Client()
    client.force_login(staff)
    assert client.get(address).status_code == 403
    staff.user_permissions.add(Permission.objects.get(codename="view_recordrow"))
    assert client.get(address).status_code == 200
    assert client.get(reverse(path, args=["nothing"])).status_code == 404


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("project", "nobodys"),
        ("period", "year"),
        ("version", "first"),
        ("version", "0"),
        ("model", "x" * 200),
        ("model", "a\0b"),
    ],
)
def test_a_faulty_filter_is_named(person, field, value):
    asked = {"project": "ours", "model": "iris", field: value}
    answer = person.get(reverse("watch-figures", args=["errors"]), asked)
    assert (answer.status_code, answer.json()["field"]) == (400, field)
    page = person.get(reverse("watch", args=["errors"]), asked)
    assert page.status_code == 400
    assert f"{field}:" in page.content.decode()


def test_only_the_chosen_project_model_and_version_count(watched, person):
    now = datetime.now(UTC)
    for model, version in (("iris", 1), ("iris", 1), ("iris", 2), ("wine", 1)):
        watched.keep(moment=now, model=model, version=version)
    watched.keep(moment=now, project="theirs")
    assert totals(chart(figures(person, "overview"), "throughput")) == {"succeeded": 4}
    assert totals(chart(figures(person, "predictions"), "models")) == {"iris": 3, "wine": 1}
    assert totals(chart(figures(person, "predictions", model="iris"), "models")) == {"iris 1": 2, "iris 2": 1}
    assert totals(chart(figures(person, "overview", model="iris", version="1"), "throughput")) == {"succeeded": 2}


@pytest.mark.parametrize(("period", "ago"), [("hour", 30), ("day", 600), ("week", 6000)])
def test_a_period_shows_what_lies_within_it(watched, person, period, ago):
    now = datetime.now(UTC)
    watched.keep(moment=now - timedelta(minutes=ago))
    watched.keep(moment=now - timedelta(days=8))
    assert totals(chart(figures(person, "overview", period=period), "throughput")) == {"succeeded": 1}


def test_errors_are_told_by_code_and_version_and_lead_to_their_records(watched, person):
    now = datetime.now(UTC)
    failed = watched.keep(moment=now, status="failed", error_code="model_error", error="it broke", version=2)
    watched.keep(moment=now)
    shown = figures(person, "errors")
    codes = chart(shown, "codes")
    assert totals(codes) == {"model_error": 1}
    assert codes["series"][0]["conditions"] == {"error_code": "model_error"}
    assert chart(shown, "by-version")["labels"] == ["iris 2"]
    listed = next(table for table in shown["tables"] if table["key"] == "failed")
    assert str(failed.id) in listed["rows"][0][0]["link"]
    step = max(range(60), key=lambda step: codes["series"][0]["values"][step])
    conditions = {**shown["conditions"], **codes["points"][step], **codes["series"][0]["conditions"]}
    page = person.get(shown["records"], conditions).content.decode()
    assert str(failed.id) in page
    assert page.count("model_error") >= 1


def test_answers_are_told_by_class_and_range(watched, person):
    now = datetime.now(UTC)
    for version, label, number in ((1, "red", 0.1), (1, "red", 0.9), (2, "white", 0.5)):
        values = (Value("output", "label", text=label), Value("output", "score", number=number))
        watched.keep(moment=now, model="wine", version=version, values=values)
    shown = figures(person, "predictions")
    classes = chart(shown, "classes-wine-label")
    assert classes["labels"] == ["red", "white"]
    assert [series["values"] for series in classes["series"]] == [[1.0, 0.0], [0.0, 1.0]]
    assert classes["points"][0] == {"value": "output.label:red"}
    numbers = chart(shown, "numbers-wine-score")
    assert [sum(series["values"]) for series in numbers["series"]] == [1.0, 1.0]


def test_performance_compares_with_the_time_before(watched, person):
    now = datetime.now(UTC)
    watched.keep(moment=now - timedelta(minutes=5), total_ms=10.0)
    watched.keep(moment=now - timedelta(minutes=65), total_ms=40.0)
    p95 = chart(figures(person, "performance"), "p95")
    assert totals(p95) == {"now": 10.0, "the hour before": 40.0}


@pytest.mark.parametrize("name", WATCHED)
def test_a_record_store_that_is_away_is_told_and_the_rest_is_shown(person, settings, name):
    settings.RECORD_STORE = f"{__name__}.AwayStore"
    shown = figures(person, name)
    assert "does not answer" in " ".join(shown["notes"])
    assert {card["title"] for card in shown["cards"]}.isdisjoint({"Predictions", "Errors", "95 % within"})
    empty = {item["key"]: item["empty"] for item in shown["charts"]}
    of_records = {"throughput", "latency", "p95", "rate", "doors", "codes", "share", "by-version"}
    assert {empty[key] for key in of_records & set(empty)} <= {UNTOLD}


@pytest.mark.parametrize("name", PAGES)
def test_a_site_without_a_project_has_pages_too(db, name):
    client = Client()
    client.force_login(User.objects.create_superuser("person", password="x"))
    assert client.get(reverse("watch", args=[name])).status_code == 200


def test_the_filters_offer_what_the_registry_has(watched, person):
    RegisteredModel.objects.create(project=watched.ours, name="wine")
    RegisteredModel.objects.create(project=watched.theirs, name="tea")
    page = person.get(reverse("watch", args=["overview"]), {"project": "ours"}).content.decode()
    assert "<option>wine</option>" in page
    assert "<option>tea</option>" not in page
    assert "<option>theirs</option>" in page


def test_status_tells_what_is_down_first(person):
    health.register("the moon", lambda: Part(State.DOWN, "it has set"))
    try:
        shown = figures(person, "status")
    finally:
        health.unregister("the moon")
    parts = next(table for table in shown["tables"] if table["key"] == "parts")["rows"]
    told = [[cell["text"] for cell in row] for row in parts]
    assert ["the moon", "down", "0 s", "it has set"] in told
    states = [row[1] for row in told]
    assert states == sorted(states, key=lambda state: state == "ok")


def test_a_process_says_how_it_is_and_the_status_page_shows_it(person):
    sampling.Sampler("worker bulk").tick()
    rows = next(table for table in figures(person, "status")["tables"] if table["key"] == "processes")["rows"]
    assert rows[0][0]["text"] == "worker bulk"
    sample = Sample.objects.get()
    assert sample.lasting == 2
    assert sample.figures["memory"] > 10e6
    assert sample.figures["parts"]["database"][0] == "ok"


def test_what_a_counter_grew_by_is_drawn(person):
    sampler = sampling.Sampler("web")
    sampler.tick()
    metrics.count(metrics.REFUSALS, ("oip", "not_found"), 3)
    sampler.tick()
    assert totals(chart(figures(person, "errors"), "refusals"))["not_found"] == 3


def test_samples_are_thinned_as_they_age(db):
    now = datetime.now(UTC)
    for lasting, ages in enumerate([(1, 3), (1, 27), (1, 24 * 9)]):
        for hours in ages:
            at = now - timedelta(hours=hours)
            Sample.objects.create(at=at, name="web", host="h", pid=1, lasting=lasting, figures={})
    sampling.forget(now)
    assert sorted(Sample.objects.values_list("lasting", flat=True)) == [0, 1, 2]
