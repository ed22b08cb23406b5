"""Saved searches: one's own and those that others share; and a search by subject."""

from __future__ import annotations

import pytest
from django.conf import settings

from monitoring import privacy


@pytest.fixture
def reader(watched):
    return watched.key("read")


def save(client, name="failures", **body):
    return client.post("/api/records/searches", {"name": name, **body}, content_type="application/json")


def names(client, **parameters) -> list[str]:
    return [search["name"] for search in client.get("/api/records/searches", parameters).json()["results"]]


def test_a_saved_search_leads_to_its_records(watched, reader):
    kept = watched.keep(status="failed")
    watched.keep()
    saved = save(reader, conditions="status=failed").json()
    assert saved["is_mine"] is True
    assert [record["id"] for record in reader.get(saved["records"]).json()["results"]] == [str(kept.id)]


def test_only_what_is_shared_is_seen_by_others_of_the_project(watched, reader):
    save(reader, "mine")
    shared = save(reader, "ours", is_shared=True).json()
    other, stranger = watched.key("read"), watched.key("read", project=watched.theirs)
    assert names(reader) == ["mine", "ours"]
    assert names(other) == ["ours"]
    assert names(stranger) == []
    assert names(watched.person(), project="ours") == ["ours"]
    path = f"/api/records/searches/{shared['id']}"
    assert other.get(path).json()["is_mine"] is False
    assert other.delete(path).status_code == 404
    assert stranger.get(path).status_code == 404


def test_its_owner_changes_and_removes_it(reader):
    path = f"/api/records/searches/{save(reader).json()['id']}"
    changed = reader.put(path, {"name": "late", "conditions": "min_ms=5"}, content_type="application/json")
    assert (changed.json()["name"], changed.json()["conditions"]) == ("late", "min_ms=5")
    assert reader.delete(path).status_code == 204
    assert names(reader) == []


def test_an_owner_has_each_name_once(watched, reader):
    assert save(reader).status_code == 201
    assert save(reader).status_code == 409
    assert save(watched.key("read")).status_code == 201


@pytest.mark.parametrize(
    "body", [{"name": ""}, {"name": "x" * 65}, {"conditions": "colour=red"}, {"conditions": "since=now"}, {"x": 1}]
)
def test_a_faulty_search_is_refused(reader, body):
    assert save(reader, **{"name": "n", **body}).status_code in (400, 422)


def test_conditions_of_a_key_for_some_models_name_one_of_them(watched):
    limited = watched.key("read", model_names=["iris"])
    assert save(limited, conditions="").status_code == 400
    assert save(limited, conditions="model=iris").status_code == 201


def test_a_subject_is_searched_by_the_name_its_client_gave(watched, reader):
    hashed = privacy.subject_of("ada@example.org", project="ours", key=settings.PRIVACY_KEY)
    kept = watched.keep(subject=hashed)
    watched.keep()
    found = reader.get("/api/records", {"subject": "ada@example.org"}).json()["results"]
    assert [record["id"] for record in found] == [str(kept.id)]
