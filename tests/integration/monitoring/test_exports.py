"""Exports: a file streamed at once, a job with progress, and the command; nothing of another project in any."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from io import BytesIO, StringIO

import pyarrow.parquet
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from monitoring import exports, tasks
from monitoring.api import exports as api
from monitoring.asked import Export
from monitoring.stores.base import StoreUnavailable
from monitoring.stores.database import DatabaseStore
from tests.contracts.record_store import NOON


@pytest.fixture(autouse=True)
def _folder(settings, tmp_path):
    settings.EXPORTS_DIR = tmp_path / "exports"


@pytest.fixture
def reader(watched):
    return watched.key("read")


@pytest.fixture
def inline(monkeypatch):
    """The worker, in place."""
    monkeypatch.setattr(tasks.write_export, "delay", tasks.write_export)


def read(form: str, content: bytes) -> list[dict]:
    if form == "jsonl":
        return [json.loads(line) for line in content.splitlines()]
    if form == "csv":
        return list(csv.DictReader(io.StringIO(content.decode())))
    return pyarrow.parquet.read_table(BytesIO(content)).to_pylist()


def start(client, **body) -> dict:
    answer = client.post("/api/records/exports", body, content_type="application/json")
    assert answer.status_code == 202, answer.content
    return answer.json()


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_a_streamed_file_has_what_meets_the_conditions_oldest_first(watched, reader, form):
    kept = [watched.keep(moment=NOON + timedelta(seconds=n), total_ms=n + 0.5) for n in range(3)]
    watched.keep(model="wine")
    watched.keep(project="theirs")
    answer = reader.get(f"/api/records/export.{form}", {"model": "iris"})
    assert answer.status_code == 200
    assert f"records.{form}" in answer["Content-Disposition"]
    rows = read(form, answer.getvalue())
    assert [str(row["id"]) for row in rows] == [str(record.id) for record in kept]
    assert float(rows[1]["total_ms"]) == 1.5
    inputs = rows[0]["inputs"]
    assert (inputs if form == "jsonl" else json.loads(inputs)) == kept[0].inputs


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_an_empty_export_is_a_whole_file(reader, form):
    assert read(form, reader.get(f"/api/records/export.{form}").getvalue()) == []


def test_a_spreadsheet_takes_no_text_of_a_client_for_a_formula(watched, reader):
    watched.keep(request_id="=HYPERLINK(1)", error="@SUM(1)", status="failed")
    (row,) = read("csv", reader.get("/api/records/export.csv").getvalue())
    assert row["request_id"] == "'=HYPERLINK(1)"
    assert row["error"] == "'@SUM(1)"


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_text_that_is_no_utf8_does_not_end_an_export(watched, reader, form):
    watched.keep(inputs={"x": ["\ud800", 2**70]})
    assert len(read(form, reader.get(f"/api/records/export.{form}").getvalue())) == 1


def test_a_server_streams_a_bounded_number_at_once(watched, reader):
    watched.keep()
    waiting = [reader.get("/api/records/export.jsonl") for _ in range(api.MOST_STREAMS)]
    refused = reader.get("/api/records/export.jsonl")
    assert refused.status_code == 503
    assert refused["Retry-After"]
    for answer in waiting:
        answer.getvalue()
    assert reader.get("/api/records/export.jsonl").getvalue()


def test_unknown_conditions_and_formats_are_refused(watched, reader):
    assert reader.get("/api/records/export.jsonl", {"colour": "red"}).status_code == 400
    assert reader.get("/api/records/export.xlsx").status_code == 404
    assert watched.key("predict").get("/api/records/export.csv").status_code == 403
    limited = watched.key("read", model_names=["iris"])
    assert limited.get("/api/records/export.csv").status_code == 400


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_a_job_writes_the_file_and_tells_how_far_it_is(watched, reader, inline, form):
    kept = watched.keep(status="failed")
    watched.keep()
    started = start(reader, format=form, conditions="status=failed")
    shown = reader.get(f"/api/records/exports/{started['id']}").json()
    assert (shown["state"], shown["percent"], shown["total"], shown["done"]) == ("ready", 100, 1, 1)
    file = reader.get(shown["file"])
    content = file.getvalue()
    assert len(content) == shown["size_bytes"]
    assert [str(row["id"]) for row in read(form, content)] == [str(kept.id)]
    assert reader.get("/api/records/exports").json()["results"][0]["id"] == started["id"]


def test_a_job_that_waits_has_no_file_yet(reader, monkeypatch):
    monkeypatch.setattr(tasks.write_export, "delay", lambda identifier: None)
    started = start(reader, format="csv")
    assert (started["state"], started["percent"], started["file"]) == ("waiting", 0, None)
    assert reader.get(f"/api/records/exports/{started['id']}/file").status_code == 409


@pytest.mark.parametrize(
    "body",
    [
        {"format": "xlsx"},
        {"format": "csv", "conditions": "colour=red"},
        {"format": "csv", "conditions": "version=x"},
        {"format": "csv", "colour": "red"},
        {},
    ],
)
def test_a_faulty_order_is_refused(reader, body):
    answer = reader.post("/api/records/exports", body, content_type="application/json")
    assert answer.status_code in (400, 422)
    assert Export.objects.count() == 0


def test_exports_of_others_do_not_exist(watched, reader, inline):
    started = start(reader, format="csv")
    other = watched.key("read", project=watched.theirs)
    path = f"/api/records/exports/{started['id']}"
    assert [other.get(path).status_code, other.get(f"{path}/file").status_code] == [404, 404]
    assert other.delete(path).status_code == 404
    limited = watched.key("read", model_names=["iris"])
    assert limited.get(path).status_code == 404


def test_an_export_is_removed_with_its_file(reader, inline):
    started = start(reader, format="csv")
    path = exports.path_of(Export.objects.get())
    assert path.exists()
    assert reader.delete(f"/api/records/exports/{started['id']}").status_code == 204
    assert not path.exists()
    assert Export.objects.count() == 0


def test_an_export_expires_with_its_file(reader, inline):
    start(reader, format="csv")
    path = exports.path_of(Export.objects.get())
    Export.objects.update(expires_at=timezone.now())
    assert tasks.keep_exports() == 1
    assert not path.exists()


def test_a_project_keeps_a_bounded_number(reader, inline, monkeypatch):
    monkeypatch.setattr(exports, "MOST_KEPT", 1)
    start(reader, format="csv")
    answer = reader.post("/api/records/exports", {"format": "csv"}, content_type="application/json")
    assert answer.status_code == 409


def test_a_file_that_grows_beyond_the_limit_fails_with_the_reason(watched, reader, inline, settings):
    watched.keep()
    settings.SERVING = {**settings.SERVING, "EXPORT_LIMIT": 10}
    started = start(reader, format="jsonl")
    shown = reader.get(f"/api/records/exports/{started['id']}").json()
    assert shown["state"] == "failed"
    assert "10 bytes" in shown["error"]
    assert list(exports.folder().iterdir()) == []


def test_a_store_that_fails_midway_fails_the_job(watched, reader, inline, monkeypatch):
    def stream(self, query):
        raise StoreUnavailable("gone")
        yield

    monkeypatch.setattr(DatabaseStore, "stream", stream)
    started = start(reader, format="jsonl")
    assert reader.get(f"/api/records/exports/{started['id']}").json()["error"] == "gone"


def test_a_job_says_how_far_it_is_while_it_writes(watched, reader, monkeypatch):
    for _ in range(4):
        watched.keep()
    monkeypatch.setattr(tasks.write_export, "delay", lambda identifier: None)
    started = start(reader, format="jsonl")
    whole, said = DatabaseStore.stream, []

    def each_fifty_times(self, query):
        for document in whole(self, query):
            for _ in range(50):
                said.append(reader.get(f"/api/records/exports/{started['id']}").json()["percent"])
                yield document

    monkeypatch.setattr(exports, "BEAT_S", 0)
    monkeypatch.setattr(DatabaseStore, "count", lambda self, query: 200)
    monkeypatch.setattr(DatabaseStore, "stream", each_fifty_times)
    exports.write(Export.objects.get().pk)
    assert sorted(set(said)) == [0, 50]
    assert reader.get(f"/api/records/exports/{started['id']}").json()["percent"] == 100


def test_an_export_whose_writer_died_is_written_by_another(watched, reader, inline, monkeypatch):
    watched.keep()
    with monkeypatch.context() as patch:
        patch.setattr(tasks.write_export, "delay", lambda identifier: None)
        start(reader, format="jsonl")
    Export.objects.update(state="running", beat_at=timezone.now())
    exports.write(Export.objects.get().pk)
    assert Export.objects.get().state == "running"
    Export.objects.update(beat_at=timezone.now() - timedelta(seconds=exports.SILENT_S + 1))
    tasks.keep_exports()
    assert Export.objects.get().state == "ready"


def test_an_export_that_is_removed_while_it_is_written_leaves_no_file(watched, reader, monkeypatch):
    watched.keep()
    monkeypatch.setattr(tasks.write_export, "delay", lambda identifier: None)
    start(reader, format="jsonl")
    export = Export.objects.get()
    whole = DatabaseStore.stream

    def removed_midway(self, query):
        exports.remove(export)
        yield from whole(self, query)

    monkeypatch.setattr(DatabaseStore, "stream", removed_midway)
    exports.write(export.pk)
    assert list(exports.folder().iterdir()) == []


def test_the_command_writes_a_file(watched, tmp_path):
    kept = watched.keep(status="failed")
    watched.keep()
    told = StringIO()
    call_command("export_records", str(tmp_path / "out.parquet"), project="ours", where="status=failed", stderr=told)
    assert [row["id"] for row in read("parquet", (tmp_path / "out.parquet").read_bytes())] == [str(kept.id)]
    assert "1 records" in told.getvalue()
    with pytest.raises(CommandError, match="format"):
        call_command("export_records", str(tmp_path / "out.txt"))
    with pytest.raises(CommandError, match="no such parameter"):
        call_command("export_records", str(tmp_path / "out.csv"), where="colour=red")
