"""What a client of /v1 sees: answers, refusals, keys, waits, listings."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from models_registry import snapshot
from models_registry.models import Alias, ApiKey, Project
from monitoring import stores
from predictions.models import Prediction
from predictions.queued import keeper, ledger, submission, sweeps, waiting
from predictions.queued.admission import GATE
from predictions.queued.ledger import Settled
from tests import cast
from tests.integration.queued import rows
from tests.integration.queued.conftest import Door

ONE = {"model": "adder", "input": {"instances": [[1, 2]]}}


@pytest.fixture
def adder(register):
    return register("adder", cast.adder(), open_limit=5)


def settle(identifier: str, output: bytes = b'{"value":[3.0]}') -> None:
    """What a worker would do."""
    [claimed] = rows.claim([Prediction.objects.get(id=identifier).id])
    ledger.settle(claimed.fence, [Settled(claimed.id, output=output)])


def test_the_version_is_pinned_at_acceptance(door, register, adder):
    _, before = door.post("/v1/predictions", ONE)
    second = register("adder", cast.adder(2))
    _, after = door.post("/v1/predictions", ONE)
    assert (before["version"], after["version"]) == (str(adder.id), str(second.id))
    assert door.get(f"/v1/predictions/{before['id']}")[1]["version"] == str(adder.id)


def test_a_version_is_named_by_number_alias_or_id(door, register, adder):
    second = register("adder", cast.adder(2), alias="next")
    by_id = {"version": str(second.id), "input": ONE["input"]}
    for body in (
        ONE | {"version": "2"},
        ONE | {"version": "next"},
        by_id,
        ONE | {"model": "demo/adder", "version": "2"},
    ):
        assert door.post("/v1/predictions", body)[1]["version"] == str(second.id)
    assert door.post("/v1/models/demo/adder/predictions", {"input": ONE["input"]})[1]["version"] == str(adder.id)


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        (b"{", 400, None),
        (b"[]", 422, None),
        ({"model": "adder"}, 422, "/input"),
        ({"input": {"instances": [[1, 2]]}}, 422, "/model"),
        (ONE | {"version": "9"}, 404, None),
        (ONE | {"model": "unknown"}, 404, None),
        (ONE | {"model": "other/adder"}, 404, None),
        ({"version": str(uuid4()), "input": {}}, 404, "/version"),
        (ONE | {"input": {"instances": [[1, 2], [1, "x"]]}}, 422, "/input/instances/1"),
        (ONE | {"input": {"instances": []}}, 422, "/input/instances"),
        (ONE | {"webhook": "https://example.org"}, 422, "/webhook"),
        (ONE | {"stream": True}, 422, "/stream"),
        (ONE | {"priority": "high"}, 422, "/priority"),
        (ONE | {"unknown": 1}, 422, "/unknown"),
    ],
)
def test_a_bad_request_is_refused_where_it_is_bad(body, status, pointer, door, adder):
    found, problem = door.post("/v1/predictions", body)
    assert found == status
    assert problem["status"] == status
    assert problem["code"]
    if pointer is not None:
        assert problem["errors"][0]["pointer"].startswith(pointer)
    assert not Prediction.objects.exists()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Prefer": "wait=0"}, 422),
        ({"Prefer": "wait=61"}, 422),
        ({"Prefer": "wait=x"}, 422),
        ({"Cancel-After": "soon"}, 422),
        ({"Cancel-After": "0s"}, 422),
        ({"Idempotency-Key": ""}, 400),
        ({"Idempotency-Key": "k" * 256}, 400),
        ({"Idempotency-Key": "tab\there"}, 400),
    ],
)
def test_a_bad_header_is_refused(headers, status, door, adder):
    assert door.post("/v1/predictions", ONE, **headers)[0] == status


def test_respond_async_is_answered_202_at_once(door, adder):
    status, shown = door.post("/v1/predictions", ONE, Prefer="respond-async, wait=5")
    assert (status, shown["status"]) == (202, "starting")


def test_the_end_of_a_wait_shows_the_unfinished_prediction_as_starting(door, adder, monkeypatch):
    real = submission.submit

    def submit_and_claim(*args, **kwargs):
        answer = real(*args, **kwargs)
        rows.claim([answer[0].id])
        return answer

    monkeypatch.setattr(submission, "submit", submit_and_claim)
    began = time.monotonic()
    status, shown = door.post("/v1/predictions", ONE, Prefer="wait=1")
    assert 0.8 < time.monotonic() - began < 1.4
    assert (status, shown["status"]) == (201, "starting")
    assert Prediction.objects.get().status == "processing"


def test_beyond_the_waiting_places_the_unfinished_prediction_is_answered_at_once(door, adder, monkeypatch):
    monkeypatch.setattr(waiting.WAITERS, "_places", waiting.Waiters(1)._places)
    with waiting.WAITERS.place(uuid4()) as taken:
        assert taken is not None
        began = time.monotonic()
        status, shown = door.post("/v1/predictions", ONE, Prefer="wait=5")
    assert (status, shown["status"]) == (201, "starting")
    assert time.monotonic() - began < 1


def test_a_lost_wake_up_is_made_good_by_the_shared_query(adder):
    [identifier] = rows.accept()
    with waiting.WAITERS.place(identifier) as waiter:
        fence = rows.claim([identifier])[0].fence
        ledger.settle(fence, [Settled(identifier, output=b"{}")])
        waiting.WAITERS.ask()
        assert not waiter.wait(0)  # it has not waited long enough to be asked for
        time.sleep(waiting.ASK_EVERY_S)
        waiting.WAITERS.ask()
        assert waiter.wait(0)


def test_the_same_key_and_body_give_the_same_prediction(door, adder):
    _, first, _ = door.call("POST", "/v1/predictions", ONE, Idempotency_Key='"a-key"')
    settle(first["id"])
    status, again, headers = door.call("POST", "/v1/predictions", ONE, Idempotency_Key="a-key")
    assert (status, again["id"], again["status"]) == (201, first["id"], "succeeded")
    assert headers["Idempotency-Replayed"] == "true"
    other = ONE | {"input": {"instances": [[5, 5]]}}
    assert door.post("/v1/predictions", other, Idempotency_Key="a-key")[0] == 422
    assert Prediction.objects.count() == 1


def test_a_repeated_key_waits_for_the_earlier_prediction(door, adder):
    _, first = door.post("/v1/predictions", ONE, Idempotency_Key="a-key")
    settle(first["id"])
    began = time.monotonic()
    status, again = door.post("/v1/predictions", ONE, Idempotency_Key="a-key", Prefer="wait=5")
    assert (status, again["status"]) == (201, "succeeded")
    assert time.monotonic() - began < 1


def test_a_repeated_key_is_answered_when_its_alias_is_gone(door, register, adder):
    register("adder", cast.adder(2), alias="passing")
    wanted = ONE | {"version": "passing"}
    _, first = door.post("/v1/predictions", wanted, Idempotency_Key="a-key")
    Alias.objects.filter(name="passing").delete()
    snapshot.refresh()
    assert door.post("/v1/predictions", wanted)[0] == 404
    status, again, headers = door.call("POST", "/v1/predictions", wanted, Idempotency_Key="a-key")
    assert (status, again["id"], headers["Idempotency-Replayed"]) == (201, first["id"], "true")
    other = wanted | {"input": {"instances": [[5, 5]]}}
    assert door.post("/v1/predictions", other, Idempotency_Key="a-key")[0] == 422
    settle(first["id"])
    _, again = door.post("/v1/predictions", wanted, Idempotency_Key="a-key", Prefer="wait=5")
    assert (again["id"], again["status"]) == (first["id"], "succeeded")


def test_a_repeated_key_shows_no_model_that_the_new_key_may_not_use(door, register, adder):
    register("other", cast.adder(2))
    door.post("/v1/predictions", ONE, Idempotency_Key="a-key")
    _, secret = ApiKey.issue(Project.objects.get(), "narrow", scopes=["predict", "read"], model_names=["other"])
    snapshot.refresh()
    status, problem = Door(secret).post("/v1/predictions", ONE, Idempotency_Key="a-key")
    assert (status, problem["code"]) == (403, "forbidden")


def test_a_full_model_is_unavailable_and_a_full_project_has_used_its_quota(door, adder):
    for number in range(5):
        assert door.post("/v1/predictions", ONE, Idempotency_Key=f"{number}")[0] == 201
    status, problem, headers = door.call("POST", "/v1/predictions", ONE)
    assert (status, problem["code"]) == (503, "unavailable")
    assert int(headers["Retry-After"]) >= 1
    assert door.post("/v1/predictions", ONE, Idempotency_Key="0")[0] == 201  # repeating asks for nothing new
    for project in Project.objects.all():
        project.open_limit = 5
        project.save()
    snapshot.refresh()
    GATE.sample()
    status, problem, headers = door.call("POST", "/v1/predictions", ONE)
    assert (status, problem["code"]) == (429, "quota_exceeded")
    settle(Prediction.objects.order_by("id").first().id)
    GATE.sample()
    assert door.post("/v1/predictions", ONE)[0] == 201


def test_a_deadline_is_set_and_reads_canceled_when_it_has_passed(door, adder):
    _, shown = door.post("/v1/predictions", ONE, Cancel_After="50ms")
    time.sleep(0.1)
    keeper.keep()
    _, shown = door.get(f"/v1/predictions/{shown['id']}")
    assert (shown["status"], shown["error"]) == ("canceled", "deadline passed")
    assert Prediction.objects.get().status == "aborted"


def test_a_waiting_prediction_shows_its_place(door, adder):
    found = [door.post("/v1/predictions", ONE)[1] for _ in range(3)]
    assert [door.get(f"/v1/predictions/{one['id']}")[1]["queue"]["position"] for one in found] == [1, 2, 3]


def test_canceling_ends_it_and_canceling_again_changes_nothing(door, adder):
    _, shown = door.post("/v1/predictions", ONE)
    for _ in range(2):
        status, canceled = door.post(f"/v1/predictions/{shown['id']}/cancel", None)
        assert (status, canceled["status"]) == (200, "canceled")
    assert canceled["completed_at"]


def test_an_unknown_id_is_not_found_never_pending(door, adder):
    for path in (f"/v1/predictions/{uuid4()}", "/v1/predictions/not-an-id"):
        status, problem = door.get(path)
        assert (status, problem["code"]) == (404, "not_found")
    assert door.post(f"/v1/predictions/{uuid4()}/cancel", None)[0] == 404


def test_another_project_sees_nothing(door, adder):
    _, shown = door.post("/v1/predictions", ONE)
    _, secret = ApiKey.issue(Project.objects.create(name="other"), "tests", scopes=["predict", "read"])
    snapshot.refresh()
    stranger = Door(secret)
    settle(shown["id"])
    door.get(f"/v1/predictions/{shown['id']}")
    assert stranger.get(f"/v1/predictions/{shown['id']}")[0] == 404
    assert stranger.post(f"/v1/predictions/{shown['id']}/cancel", None)[0] == 404
    assert stranger.get("/v1/predictions")[1]["results"] == []
    assert stranger.post("/v1/predictions", {"version": str(adder.id), "input": ONE["input"]})[0] == 404
    assert stranger.get("/v1/models/demo/adder")[0] == 404


def test_a_purged_row_is_answered_from_its_record(door, adder):
    _, shown = door.post("/v1/predictions", ONE)
    settle(shown["id"])
    source = keeper.Rows()
    waiting_rows = source.batch(10)
    stores.open_store().create([record for _, record in waiting_rows])
    source.mark([token for token, _ in waiting_rows])
    sweeps.purge([waiting_rows[0][0]])
    assert not Prediction.objects.exists()
    _, again = door.get(f"/v1/predictions/{shown['id']}")
    assert (again["status"], again["output"], again["input"]) == ("succeeded", {"value": [3.0]}, ONE["input"])


def test_the_hot_result_is_what_the_row_says(door, register, workers):
    register("adder", cast.adder())
    _, hot = door.post("/v1/predictions", ONE, Prefer="wait=5")
    from django.core.cache import caches

    assert caches["results"].get(f"prediction:{hot['id'].replace('-', '')}")
    caches["results"].clear()
    assert door.get(f"/v1/predictions/{hot['id']}")[1] == hot


def test_a_listing_is_walked_in_both_directions(door, adder):
    ids = [str(identifier) for identifier in rows.accept(250, project_id=Project.objects.get().id)][::-1]
    path, seen, pages = "/v1/predictions", [], []
    while path:
        _, page = door.get(path.removeprefix("http://testserver"))
        pages.append([one["id"] for one in page["results"]])
        seen += pages[-1]
        before, path = page["previous"], page["next"]
    assert seen == ids
    assert [len(page) for page in pages] == [100, 100, 50]
    _, page = door.get(before.removeprefix("http://testserver"))
    assert [one["id"] for one in page["results"]] == pages[1]


def test_a_listing_is_filtered(door, adder):
    project = Project.objects.get().id
    old, new = rows.accept(1, project_id=project), rows.accept(1, project_id=project, model="other")
    ledger.cancel(project, old[0])
    rows.accept(1, project_id=project + 1)
    assert [one["id"] for one in door.get("/v1/predictions?status=canceled")[1]["results"]] == [str(old[0])]
    assert [one["id"] for one in door.get("/v1/predictions?model=demo/other")[1]["results"]] == [str(new[0])]
    later = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    assert door.get(f"/v1/predictions?since={later.replace('+', '%2B')}")[1]["results"] == []
    assert len(door.get(f"/v1/predictions?until={later.replace('+', '%2B')}")[1]["results"]) == 2
    for bad in ("cursor=x", "cursor=o12", "status=done", "since=yesterday"):
        assert door.get(f"/v1/predictions?{bad}")[0] == 422


def test_a_listing_looks_at_a_bounded_number_of_rows(door, adder, monkeypatch):
    from predictions.queued import reading

    monkeypatch.setattr(reading, "WINDOW", 10)
    project = Project.objects.get().id
    [own] = rows.accept(1, project_id=project)
    rows.accept(35, project_id=project + 1)
    path, pages = "/v1/predictions", []
    while path:
        _, page = door.get(path.removeprefix("http://testserver"))
        pages.append([one["id"] for one in page["results"]])
        path = page["next"]
    assert [one for page in pages for one in page] == [str(own)]
    assert len(pages) == 4


def test_the_request_id_is_stored_and_echoed(door, adder):
    _, _, headers = door.call("POST", "/v1/predictions", ONE, X_Request_ID="abc-1")
    assert headers["X-Request-ID"] == "abc-1"
    assert Prediction.objects.get().request_id == "abc-1"


def test_a_model_and_its_versions_are_shown(door, adder):
    _, shown = door.get("/v1/models/demo/adder")
    assert (shown["owner"], shown["name"], shown["latest_version"]["id"]) == ("demo", "adder", str(adder.id))
    _, page = door.get("/v1/models/demo/adder/versions")
    assert [one["id"] for one in page["results"]] == [str(adder.id)]
    _, version = door.get(f"/v1/models/demo/adder/versions/{adder.id}")
    assert set(version) >= {"id", "created_at", "cog_version", "openapi_schema"}
    assert door.get(f"/v1/models/demo/adder/versions/{uuid4()}")[0] == 404
