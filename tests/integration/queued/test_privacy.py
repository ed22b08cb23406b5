"""Privacy and erasure end to end: what is stored of a protected field, and what is left of a subject."""

from __future__ import annotations

import json
import struct
from datetime import timedelta
from io import StringIO

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.cache import caches
from django.core.management import call_command
from django.urls import reverse
from django.utils import timezone

from models_registry import errors, snapshot
from models_registry.models import ApiKey, RegisteredModel
from monitoring import recorder, spooling, stores
from monitoring.asked import Erasure, Export
from monitoring.spool import Reader
from monitoring.stores.base import Query, StoreUnavailable
from monitoring.stores.database import DatabaseStore
from predictions.models import Prediction
from predictions.queued import keeper, ledger, results, scrubbing
from predictions.queued.ledger import Settled
from serving_site import erasure
from tests import cast, doors

CANARY = 123456.75
ASKED = {"input": {"instances": [[CANARY, 2.0]]}, "model": "adder"}


@pytest.fixture
def adder(register):
    return register("adder", cast.adder())


def protect(policy: dict[str, str]) -> None:
    RegisteredModel.objects.get(name="adder").configure(privacy=policy)
    snapshot.refresh()


def run(identifier) -> Prediction:
    """What a worker does, in place."""
    [claimed] = ledger.claim([identifier], lease_s=15, max_attempts=3)
    signature = RegisteredModel.objects.get(name="adder").versions.get().parsed_signature()
    output = json.dumps({signature.outputs[0].name: [CANARY + 2]}).encode()
    ledger.settle(claimed.fence, [Settled(claimed.id, output=output)])
    results.keep_hot(Prediction.objects.filter(id=identifier))
    return Prediction.objects.get(id=identifier)


def record(*sources) -> None:
    """What the keeper does, in place."""
    dead = recorder.dead_file()
    recorder.Recorder(stores.open_store(), sources or [keeper.Rows()], dead=dead).round()


def ask(door, **headers) -> Prediction:
    status, body = door.post("/v1/predictions", ASKED, **headers)
    assert status == 201, body
    return Prediction.objects.get(id=body["id"])


def names(adder) -> tuple[str, str]:
    signature = adder.parsed_signature()
    columns = signature.inputs[0].columns or (signature.inputs[0].name,)
    return f"input.{columns[0]}", f"output.{signature.outputs[0].name}"


def test_a_protected_input_leaves_row_and_record_but_not_before_it_ran(adder, door):
    protect({names(adder)[0]: "hash"})
    row = ask(door)
    assert str(CANARY).encode() in bytes(row.input)
    row = run(row.id)
    record()
    kept = stores.open_store().get("demo", row.id)
    assert str(CANARY) not in json.dumps([kept.inputs, [value.number for value in kept.values]])
    row.refresh_from_db()
    assert str(CANARY).encode() not in bytes(row.input)
    assert json.loads(bytes(row.input)) == kept.inputs


def test_a_protected_output_is_fetched_by_its_client_and_then_goes(adder, door):
    protect({names(adder)[1]: "mask"})
    row = run(ask(door).id)
    record()
    assert caches["results"].get(results.key_of(row.id)) is None
    _, shown = door.get(f"/v1/predictions/{row.id}")
    assert str(CANARY + 2) in json.dumps(shown["output"])
    assert str(CANARY + 2) not in json.dumps(stores.open_store().get("demo", row.id).outputs)
    assert scrubbing.scrub_outputs() == 0
    Prediction.objects.update(completed_at=timezone.now() - timedelta(seconds=settings.SERVING["RESULT_TTL"] + 1))
    assert scrubbing.scrub_outputs() == 1
    assert scrubbing.scrub_outputs() == 0
    assert str(CANARY + 2).encode() not in bytes(Prediction.objects.get(id=row.id).output)


@pytest.fixture
def spool(settings, tmp_path):
    """A spool of its own: its reader."""
    spooling.close()
    settings.SPOOL_DIR = tmp_path / "spool"
    reader = Reader(settings.SPOOL_DIR)
    yield reader
    reader.close()
    spooling.close()


def test_an_online_call_has_its_fields_protected_before_the_spool(adder, door, spool):
    protect({names(adder)[0]: "drop", names(adder)[1]: "hash"})
    secret = ApiKey.issue(adder.model.project, "tests", scopes=["predict"])[1]
    snapshot.refresh()
    tensor = {"name": "input", "shape": [1, 2], "datatype": "FP64", "data": [CANARY, 2.0]}
    for application in (doors.lane(), doors.view()):
        status, _, content = doors.call(
            application,
            "/v2/models/adder/infer",
            json.dumps({"inputs": [tensor]}).encode(),
            {"Authorization": f"Bearer {secret}", "X-Subject-ID": "ada@example.org"},
        )
        assert status == 200
        assert str(CANARY + 2).encode() in content
    spooled = [payload for _, payload in spool.batch()]
    assert len(spooled) == 2
    for payload in spooled:
        assert b"hmac:" in payload
        assert CANARY.hex().encode() not in payload
        assert str(CANARY).encode() not in payload
        assert struct.pack("<d", CANARY) not in payload
        assert b"ada@" not in payload


def test_a_field_the_model_does_not_have_cannot_be_protected(adder):
    with pytest.raises(errors.InvalidInput, match=r"input\.colour"):
        protect({"input.colour": "drop"})


def test_a_subject_is_erased_from_ledger_cache_and_records_with_a_receipt(adder, door):
    ended, open_one, other = ask(door, X_Subject_ID="ada"), ask(door, X_Subject_ID="ada"), ask(door)
    run(ended.id)
    run(other.id)
    record()
    export = Export.objects.create(project="demo", who="x", format="csv", expires_at=timezone.now())
    receipt = erasure.erase("demo", "ada", who="tester", why="she asked")
    assert receipt.counts == {"canceled": 1, "ledger": 2, "cache": 2, "exports": 1, "records": 1}
    assert (receipt.who, receipt.why) == ("tester", "she asked")
    assert receipt.finished_at is not None
    assert "ada" not in receipt.subject
    assert door.get(f"/v1/predictions/{ended.id}")[0] == 404
    assert door.get(f"/v1/predictions/{open_one.id}")[0] == 404
    assert door.get(f"/v1/predictions/{other.id}")[0] == 200
    assert not Export.objects.filter(pk=export.pk).exists()
    record()
    assert [kept["id"] for kept in stores.open_store().stream(Query("demo"))] == [str(other.id)]


def test_a_record_that_was_on_its_way_is_dropped_when_it_arrives(adder, door):
    row = run(ask(door, X_Subject_ID="ada").id)
    rows = keeper.Rows()
    waiting = rows.batch(10)
    receipt = erasure.erase("demo", "ada", who="tester")

    class Late:
        name = "late"

        def __init__(self):
            self.marked = []

        def batch(self, limit, behind=None):
            return [] if self.marked else waiting

        def mark(self, tokens):
            self.marked += tokens

    late = Late()
    record(late)
    assert late.marked == [row.id]
    assert stores.open_store().count(Query("demo")) == 0
    receipt.refresh_from_db()
    assert receipt.late == 1


def test_what_waits_in_the_spool_of_an_erased_subject_is_never_recorded(adder, door, spool):
    secret = ApiKey.issue(adder.model.project, "tests", scopes=["predict"])[1]
    snapshot.refresh()
    tensor = {"name": "input", "shape": [1, 2], "datatype": "FP64", "data": [CANARY, 2.0]}
    given = {}
    for subject in ("ada", "grace"):
        headers = {"Authorization": f"Bearer {secret}", "X-Subject-ID": subject}
        body = json.dumps({"inputs": [tensor]}).encode()
        status, answered, _ = doors.call(doors.lane(), "/v2/models/adder/infer", body, headers)
        assert status == 200
        given[subject] = answered["x-prediction-id"]
    receipt = erasure.erase("demo", "ada", who="tester")
    record(recorder.SpoolSource(spool, recorder.dead_file()))
    assert [kept["id"] for kept in stores.open_store().stream(Query("demo"))] == [given["grace"]]
    assert spool.batch() == []
    receipt.refresh_from_db()
    assert receipt.late == 1


def test_what_a_subject_does_after_its_erasure_is_kept(adder, door):
    erasure.erase("demo", "ada", who="tester")
    row = run(ask(door, X_Subject_ID="ada").id)
    record()
    assert stores.open_store().get("demo", row.id) is not None


def test_an_erasure_waits_for_a_record_store_that_is_away(adder, door, monkeypatch):
    run(ask(door, X_Subject_ID="ada").id)
    record()

    def away(self, query):
        raise StoreUnavailable("gone")

    with monkeypatch.context() as patch:
        patch.setattr(DatabaseStore, "remove", away)
        assert erasure.erase("demo", "ada", who="tester").finished_at is None
        assert erasure.finish_all() == 0
    assert erasure.finish_all() == 1
    assert Erasure.objects.get().counts["records"] == 1


def test_the_api_and_the_command_erase_and_show_receipts(adder, door, client):
    ask(door, X_Subject_ID="ada")
    ask(door, X_Subject_ID="bob")
    secret = ApiKey.issue(adder.model.project, "tests", scopes=["manage"])[1]
    reader = ApiKey.issue(adder.model.project, "tests", scopes=["read"])[1]
    snapshot.refresh()
    key, weak = ({"authorization": f"Bearer {one}"} for one in (secret, reader))
    body = {"subject": "ada", "why": "asked"}
    assert client.post("/api/erasures", body, content_type="application/json", headers=weak).status_code == 403
    made = client.post("/api/erasures", body, content_type="application/json", headers=key)
    assert made.status_code == 201, made.content
    assert made.json()["counts"]["ledger"] == 1
    assert client.get(made["Location"], headers=key).json() == made.json()
    told = StringIO()
    call_command("erase_subject", "bob", json=True, stdout=told)
    assert json.loads(told.getvalue())["counts"]["ledger"] == 1
    assert len(client.get("/api/erasures", headers=key).json()["results"]) == 2
    assert client.post("/api/erasures", {}, content_type="application/json", headers=key).status_code == 422


def test_a_person_erases_in_the_admin_and_sees_the_receipt(adder, door, client):
    ask(door, X_Subject_ID="ada")
    client.force_login(User.objects.create_superuser("person", password="x"))
    form = {"project": "demo", "subject": "ada", "why": "asked"}
    page = client.post(reverse("admin:monitoring_erasure_add"), form, follow=True).content.decode()
    assert "1 ledger" in page
    receipt = Erasure.objects.get()
    assert (receipt.who, receipt.counts["canceled"]) == ("user:person", 1)
    shown = client.get(reverse("admin:monitoring_erasure_change", args=[receipt.pk])).content.decode()
    assert receipt.subject in shown
    assert client.post(reverse("admin:monitoring_erasure_delete", args=[receipt.pk])).status_code == 403


def test_staff_without_the_permission_erase_and_read_nothing(adder, client):
    client.force_login(User.objects.create_user("staff", password="x", is_staff=True))
    body = {"subject": "ada"}
    assert client.post("/api/erasures?project=demo", body, content_type="application/json").status_code == 403
    assert client.get("/api/records?project=demo").status_code == 403
    assert client.get(reverse("admin:monitoring_erasure_add")).status_code == 403
    assert Erasure.objects.count() == 0


def test_a_subject_that_cannot_be_one_is_refused_by_both_doors(adder, door):
    assert door.post("/v1/predictions", ASKED, X_Subject_ID="x" * 300)[0] == 422
    assert Prediction.objects.count() == 0


def test_records_of_a_model_are_kept_as_long_as_it_says(adder, door, monkeypatch):
    old, new = run(ask(door).id), run(ask(door).id)
    record()
    RegisteredModel.objects.get(name="adder").configure(record_days=1)
    real = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: real() + timedelta(hours=23))
    assert keeper.purge_records_of_models() == 0
    monkeypatch.setattr(timezone, "now", lambda: real() + timedelta(hours=25))
    assert keeper.purge_records_of_models() == 2
    assert stores.open_store().present([old.id, new.id]) == set()
