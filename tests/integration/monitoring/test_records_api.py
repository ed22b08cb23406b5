"""`/api/records`: search by every filter, cursors, counts, and nothing of another project."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from monitoring.ids import mint
from monitoring.records import Value
from monitoring.stores.base import StoreUnavailable
from monitoring.stores.database import DatabaseStore

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def reader(watched):
    return watched.key("read")


def found(client, **parameters) -> list[str]:
    answer = client.get("/api/records", parameters)
    assert answer.status_code == 200, answer.content
    return [record["id"] for record in answer.json()["results"]]


def fault(client, path: str, **parameters) -> str:
    """The parameter that a 400 names."""
    answer = client.get(path, parameters)
    assert answer.status_code == 400, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert body["code"] == "invalid_parameter"
    return body["errors"][0]["pointer"].split("/")[1]


def test_a_record_is_shown_whole(watched, reader):
    record = watched.keep(request_id="r-7")
    shown = reader.get(f"/api/records/{record.id}").json()
    assert shown["id"] == str(record.id)
    assert shown["inputs"] == record.inputs
    assert shown["outputs"] == record.outputs
    assert shown["request_id"] == "r-7"
    assert shown["values"][0] == {"side": "input", "name": "sepal_length", "number": 5.1}
    assert reader.get("/api/records").json()["results"] == [shown]


def test_what_is_not_ours_does_not_exist(watched, reader):
    foreign = watched.keep(project="theirs")
    assert reader.get(f"/api/records/{foreign.id}").status_code == 404
    assert reader.get(f"/api/records/{mint()}").status_code == 404
    assert found(reader) == []
    assert found(reader, project="theirs") == []


def test_a_key_without_the_scope_is_refused(watched):
    assert watched.key("predict").get("/api/records").status_code == 403


def test_a_key_for_some_models_reads_only_their_records(watched):
    mine, other = watched.keep(model="iris"), watched.keep(model="wine")
    client = watched.key("read", model_names=["iris"])
    assert found(client, model="iris") == [str(mine.id)]
    assert fault(client, "/api/records") == "model"
    assert fault(client, "/api/records", model="wine") == "model"
    assert client.get(f"/api/records/{mine.id}").status_code == 200
    assert client.get(f"/api/records/{other.id}").status_code == 404


def test_a_person_chooses_the_project(watched):
    record = watched.keep()
    watched.keep(project="theirs")
    assert found(watched.person(), project="ours") == [str(record.id)]


@pytest.mark.parametrize(
    ("parameters", "fields"),
    [
        ({"model": "wine"}, {"model": "wine"}),
        ({"version": "2"}, {"version": 2}),
        ({"status": "failed"}, {"status": "failed"}),
        ({"door": "queued"}, {"door": "queued"}),
        ({"error_code": "timeout"}, {"error_code": "timeout"}),
        ({"q": "petal"}, {"error": "bad Petal width"}),
        ({"request_id": "abc"}, {"request_id": "abc"}),
        ({"min_ms": "100"}, {"total_ms": 250.0}),
        ({"max_ms": "0.5"}, {"total_ms": 0.5}),
        ({"value": "input.age:30..40"}, {"values": (Value("input", "age", number=35),)}),
        ({"value": "input.age:..40"}, {"values": (Value("input", "age", number=-5),)}),
        ({"value": "output.label:a:b"}, {"values": (Value("output", "label", text="a:b"),)}),
        ({"value": "output.p.yes:0.5.."}, {"values": (Value("output", "p.yes", number=0.5),)}),
        ({"value": "input.t:-1.5..-1e-3"}, {"values": (Value("input", "t", number=-1.0),)}),
        ({"value": ["input.a:1..", "input.b:..2"]}, {"values": (Value("input", "a", 1), Value("input", "b", 2))}),
    ],
)
def test_a_filter_finds_only_what_meets_it(watched, reader, parameters, fields):
    wanted = watched.keep(**fields)
    watched.keep()
    assert found(reader, **parameters) == [str(wanted.id)]


def test_a_time_range_selects_by_the_moment_of_acceptance(watched, reader):
    old, new = watched.keep(moment=NOW - timedelta(hours=2)), watched.keep(moment=NOW)
    middle = (NOW - timedelta(hours=1)).isoformat()
    assert found(reader, since=middle) == [str(new.id)]
    assert found(reader, until=middle) == [str(old.id)]


def test_pages_follow_each_other_without_gap_or_repeat(watched, reader):
    records = [str(watched.keep(moment=NOW + timedelta(milliseconds=step)).id) for step in range(7)]
    page = reader.get("/api/records", {"limit": 3, "model": "iris"}).json()
    pages = [page]
    while page["next"]:
        page = reader.get(page["next"]).json()
        pages.append(page)
    assert [record["id"] for page in pages for record in page["results"]] == records[::-1]
    assert [len(page["results"]) for page in pages] == [3, 3, 1]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "201"),
        ("limit", "0"),
        ("limit", "1000000000"),
        ("limit", "٣"),
        ("limit", "1e2"),
        ("cursor", "nonsense"),
        ("version", "x"),
        ("version", "-1"),
        ("version", "9" * 30),
        ("status", "starting"),
        ("door", "window"),
        ("since", "yesterday"),
        ("since", "2026-13-45T00:00:00Z"),
        ("until", ""),
        ("min_ms", "nan"),
        ("max_ms", "1e999"),
        ("min_ms", "1_000"),
        ("q", "x" * 201),
        ("q", "\0"),
        ("model", ""),
        ("value", "sepal_length:5..6"),
        ("value", "input.sepal_length"),
        ("value", "input.sepal_length:"),
        ("value", "input.sepal_length:.."),
        ("value", "input.sepal_length:a..b"),
        ("value", "input.:1..2"),
        ("value", ["input.a:1.."] * 6),
        ("status", ["failed", "succeeded"]),
        ("sort", "error"),
        ("fields", "inputs"),
        ("model__contains", "i"),
    ],
)
def test_a_bad_or_unknown_parameter_is_named(reader, name, value):
    assert fault(reader, "/api/records", **{name: value}) == name


@pytest.mark.parametrize("text", ["%", "_", "100%", "\\", "' OR 1=1 --", "%' ESCAPE '"])
def test_text_is_searched_as_it_is_written(watched, reader, text):
    watched.keep(error="nothing of the kind")
    wanted = watched.keep(error=f"before {text} behind")
    assert found(reader, q=text) == [str(wanted.id)]


def test_counts_go_by_stretch_of_time(watched, reader):
    hour = NOW.replace(minute=0, second=0)
    watched.keep(moment=hour - timedelta(hours=1), total_ms=10.0)
    watched.keep(moment=hour - timedelta(minutes=30), total_ms=20.0)
    watched.keep(moment=hour - timedelta(minutes=20), status="failed")
    watched.keep(moment=hour - timedelta(days=3))
    answer = reader.get("/api/records/counts", {"model": "iris"}).json()
    assert answer["results"] == [
        {**start, "model": "iris", "version": 1, "status": status, "count": count, "mean_ms": mean, "most_ms": most}
        for start in [{"start": (hour - timedelta(hours=1)).isoformat()}]
        for status, count, mean, most in [("failed", 1, 5.0, 5.0), ("succeeded", 2, 15.0, 20.0)]
    ]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("seconds", {"seconds": "0"}),
        ("seconds", {"seconds": "1", "since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"}),
        ("since", {"since": "2026-01-01T00:00:00Z", "until": "2026-03-02T00:00:00Z"}),
        ("since", {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}),
        ("interval", {"interval": "1d"}),
    ],
)
def test_counting_is_bounded(reader, name, parameters):
    assert fault(reader, "/api/records/counts", **parameters) == name


class AwayStore(DatabaseStore):
    def search(self, query):
        raise StoreUnavailable("connection refused to 10.0.0.7")


def test_a_store_that_is_away_is_503_with_a_time_and_no_internals(reader, settings):
    settings.RECORD_STORE = f"{__name__}.AwayStore"
    answer = reader.get("/api/records")
    assert answer.status_code == 503
    assert int(answer["Retry-After"]) > 0
    assert answer.json()["code"] == "unavailable"
    assert b"10.0.0.7" not in answer.content


def test_the_api_is_browsable_for_people(watched):
    record = watched.keep()
    answer = watched.person().get("/api/records", {"project": "ours"}, headers={"accept": "text/html"})
    assert answer.status_code == 200
    assert str(record.id) in answer.content.decode()
