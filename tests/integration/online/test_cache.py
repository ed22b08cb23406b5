"""Both doors with a response cache: told, recorded, counted, never stale."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest

from models_registry import snapshot
from models_registry.models import Alias, ApiKey, ModelVersion
from monitoring import metrics, spooling
from monitoring.records import SpooledCall, decode_call
from monitoring.spool import Reader
from tests import cast, doors
from tests.integration.online.conftest import Infer, ask

HIT, STORED = "serving-blueprint; hit", "serving-blueprint; fwd=miss; stored"


@pytest.fixture
def cached(adder: ModelVersion) -> ModelVersion:
    """demo/adder keeps its answers for a minute."""
    snapshot.answers().clear()
    adder.model.configure(cache_ttl_s=60)
    snapshot.refresh()
    return adder


def told(headers: dict[str, str]) -> str:
    """What the cache did; how long a hit is still good for is another test's."""
    return headers["cache-status"].partition("; ttl=")[0]


def counted(result: str) -> float:
    return metrics.value(metrics.CACHE_REQUESTS, ("demo", "adder", "1", result))


def records() -> dict[UUID, SpooledCall]:
    spooling.close()
    reader = Reader(spooling.directory())
    calls = [decode_call(payload) for _, payload in reader.batch(calls=100_000)]
    reader.close()
    return {UUID(bytes=call.id): call for call in calls}


def test_without_a_cache_nothing_is_said_of_one(infer: Infer) -> None:
    assert "cache-status" not in infer()[1]


def test_an_equal_input_is_answered_from_the_cache(infer: Infer, cached: ModelVersion) -> None:
    before = {result: counted(result) for result in ("hit", "miss")}
    first, second = infer(ask([1, 2], id="a")), infer(ask([1, 2], id="b"))
    assert [told(answer[1]) for answer in (first, second)] == [STORED, HIT]
    assert second[2]["outputs"] == first[2]["outputs"]
    assert (second[2]["id"], counted("hit") - before["hit"], counted("miss") - before["miss"]) == ("b", 1, 1)
    assert infer(ask([1, 3]))[2]["outputs"][0]["data"] == [4.0]


def test_a_hit_has_a_record_of_its_own_that_says_so(infer: Infer, cached: ModelVersion) -> None:
    ids = [UUID(infer()[1]["x-prediction-id"]) for _ in range(2)]
    found = records()
    assert [found[identifier].cached for identifier in ids] == [False, True]
    ran, hit = (found[identifier] for identifier in ids)
    assert (hit.status, hit.inputs, hit.outputs) == ("succeeded", ran.inputs, ran.outputs)
    assert ran.inference_s > 0
    assert hit.inference_s == 0


def test_one_answer_serves_every_wish_for_outputs_and_encodings(infer: Infer, cached: ModelVersion) -> None:
    infer()
    _, headers, answer = infer(ask([1, 2], outputs=[{"name": "version"}]))
    assert (told(headers), [output["name"] for output in answer["outputs"]]) == (HIT, ["version"])
    _, headers, raw = infer(ask([1, 2], parameters={"binary_data_output": True}))
    assert told(headers) == HIT
    assert isinstance(raw, bytes)


def test_a_promotion_is_never_answered_with_what_another_version_said(infer: Infer, cached: ModelVersion) -> None:
    infer()
    assert told(infer()[1]) == HIT
    newer = cast.register("demo", "adder", cast.adder(2), alias="champion", cache_ttl_s=60)
    snapshot.refresh()
    _, headers, answer = infer()
    assert told(headers) == STORED
    assert (answer["model_version"], answer["outputs"][1]["data"]) == ("2", [2])
    Alias.point(cached, "champion", who="tests")
    snapshot.refresh()
    assert infer()[2]["outputs"][1]["data"] == [1]
    assert infer(path=f"/v2/models/adder/versions/{newer.number}/infer")[2]["outputs"][1]["data"] == [2]


def test_no_cache_runs_the_model_and_no_store_keeps_nothing(infer: Infer, cached: ModelVersion) -> None:
    said = [
        told(infer(Cache_Control=directive)[1])
        for directive in ("no-store", "no-store", "no-cache", "", "no-cache", "max-age=0")
    ]
    fresh = "serving-blueprint; fwd=request; stored"
    assert said == ["serving-blueprint; fwd=request"] * 2 + [fresh, HIT, fresh, fresh]


def test_a_failure_is_not_kept(infer: Infer, cached: ModelVersion) -> None:
    for _ in range(2):
        status, headers, _ = infer(ask([1e308, 1e308]))
        assert status == 400
        assert "cache-status" not in headers
    assert len(snapshot.answers()) == 0


def test_a_model_whose_cache_is_switched_off_runs_every_call(infer: Infer, cached: ModelVersion) -> None:
    infer()
    cached.model.configure(cache_ttl_s=0)
    snapshot.refresh()
    assert "cache-status" not in infer()[1]
    cached.model.configure(cache_ttl_s=60)
    snapshot.refresh()


def test_another_project_never_hits_what_this_one_asked(infer: Infer, cached: ModelVersion, door: Any) -> None:
    infer()
    version = cast.register("other", "adder", cast.adder(), cache_ttl_s=60)
    _, secret = ApiKey.issue(version.model.project, "tests", scopes=["predict"])
    snapshot.refresh()
    _, headers, _ = doors.call(
        door, "/v2/models/adder/infer", json.dumps(ask([1, 2])).encode(), {"Authorization": f"Bearer {secret}"}
    )
    assert told(headers) == STORED


def test_answers_are_dropped_when_their_version_is_unloaded(infer: Infer, cached: ModelVersion) -> None:
    infer()
    assert len(snapshot.answers()) == 1
    cached.aliases.get().remove(who="tests")
    cached.retire(who="tests")
    snapshot.refresh()
    assert len(snapshot.answers()) == 0


def test_answers_are_dropped_at_the_end_of_the_process(infer: Infer, cached: ModelVersion) -> None:
    infer()
    assert len(snapshot.answers()) == 1
    snapshot.close()
    assert (len(snapshot.answers()), snapshot.answers().octets) == (0, 0)
    assert told(infer()[1]) == STORED
