"""The page of records: search, saved searches, exports and one record, whatever the store."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from monitoring import tasks
from monitoring.asked import Export, SavedSearch
from monitoring.records import Value
from monitoring.stores.base import StoreUnavailable
from monitoring.stores.database import DatabaseStore

HERE = "/admin/records/?project=ours"


@pytest.fixture(autouse=True)
def _folder(settings, tmp_path):
    settings.EXPORTS_DIR = tmp_path / "exports"


@pytest.fixture
def person(watched):
    return watched.person()


def page(client, **parameters) -> str:
    answer = client.get(reverse("record-page"), {"project": "ours", **parameters})
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.parametrize(
    "conditions",
    [
        {"model": "wine"},
        {"version": "7"},
        {"status": "failed"},
        {"q": "exploded"},
        {"text": "lukewarm"},
        {"value": "output.score:0.8..0.9"},
        {"min_ms": "100"},
        {"request_id": "r-7"},
    ],
)
def test_a_condition_finds_only_what_meets_it(watched, person, conditions):
    values = (Value("input", "review", text="lukewarm tea"), Value("output", "score", number=0.85))
    wanted = watched.keep(
        **{"model": "wine", "version": 7, "status": "failed", "error": "it exploded", "total_ms": 200.0},
        request_id="r-7",
        values=values,
    )
    other = watched.keep()
    shown = page(person, **conditions, since="", cursor="")
    assert str(wanted.id) in shown
    assert str(other.id) not in shown


def test_a_faulty_condition_is_named_beside_the_form(person):
    shown = page(person, version="x", since="yesterday")
    assert "version: a whole number" in shown
    assert "since: a time" in shown
    assert "cursor:" in page(person, cursor="?")


def test_a_store_that_is_away_is_said(person, monkeypatch):
    def away(self, query):
        raise StoreUnavailable("gone")

    monkeypatch.setattr(DatabaseStore, "search", away)
    assert "does not answer" in page(person)


def test_a_search_is_saved_found_shared_and_removed(watched, person):
    person.post(f"{HERE}&status=failed", {"verb": "save", "name": "failures", "shared": "on"})
    saved = SavedSearch.objects.get()
    assert (saved.owner, saved.conditions, saved.is_shared) == ("user:person", "status=failed", True)
    assert "failures" in page(person)
    assert watched.key("read").get("/api/records/searches").json()["results"][0]["name"] == "failures"
    assert (
        "You have a search named"
        in person.post(HERE, {"verb": "save", "name": "failures"}, follow=True).content.decode()
    )
    person.post(HERE, {"verb": "forget", "search": saved.pk})
    assert not SavedSearch.objects.exists()


def test_a_faulty_search_is_not_saved(person):
    answer = person.post(f"{HERE}&version=x", {"verb": "save", "name": "n"}, follow=True)
    assert "faulty" in answer.content.decode()
    assert not SavedSearch.objects.exists()


def test_an_export_is_started_watched_and_downloaded(watched, person, monkeypatch):
    monkeypatch.setattr(tasks.write_export, "delay", lambda identifier: None)
    kept = watched.keep(status="failed")
    watched.keep()
    person.post(f"{HERE}&status=failed", {"verb": "export", "format": "jsonl"})
    export = Export.objects.get()
    watched_list = person.get(reverse("record-export-list"), {"project": "ours"}).content.decode()
    assert "every 1s" in watched_list
    assert "waiting, 0 %" in watched_list
    tasks.write_export(str(export.pk))
    done = person.get(reverse("record-export-list"), {"project": "ours"}).content.decode()
    assert "every 1s" not in done
    link = reverse("record-export-download", args=[export.pk])
    assert link in done
    assert str(kept.id).encode() in person.get(link).getvalue()
    person.post(HERE, {"verb": "remove", "export": str(export.pk)})
    assert person.get(link).status_code == 404


def test_a_record_is_shown_whole_and_harmless(watched, person):
    record = watched.keep(inputs={"word": ["<script>alert(1)</script>"]}, status="failed", error="<b>bad</b>")
    shown = person.get(reverse("record-detail", args=[record.id])).content.decode()
    assert str(record.id) in shown
    assert "<script>alert(1)" not in shown
    assert "<b>bad" not in shown
    assert person.get(reverse("record-detail", args=[record.version_id])).status_code == 404


def test_strangers_and_staff_without_the_permission_see_nothing(watched):
    record = watched.keep()
    assert Client().get(reverse("record-page")).status_code == 302
    staff = Client()
    staff.force_login(User.objects.create_user("staff", password="x", is_staff=True))
    for path in (HERE, reverse("record-detail", args=[record.id]), reverse("record-export-list")):
        assert staff.get(path).status_code == 403
    assert staff.post(HERE, {"verb": "save", "name": "n"}).status_code == 403
