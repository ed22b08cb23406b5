"""The queued path with a response cache: equal inputs run once, nothing is stale, and no cache costs only a run."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from django.core.cache import caches

from models_registry import snapshot
from models_registry.models import ModelVersion
from monitoring import metrics
from predictions.models import Prediction
from predictions.queued import execution, recording
from serving_site import redis_urls
from serving_site.stack.server import free_port
from tests import cast

HIT, MISS = "serving-blueprint; hit", "serving-blueprint; fwd=miss"


@pytest.fixture
def cached(register: Any) -> ModelVersion:
    """demo/adder keeps its answers for a minute; nothing is kept yet."""
    caches["default"].clear()
    return register("adder", cast.adder(), cache_ttl_s=60)


def ask(*rows: list[float]) -> dict[str, Any]:
    return {"model": "adder", "input": {"instances": list(rows)}}


def accepted(door: Any, *bodies: Any, **headers: str) -> list[UUID]:
    return [UUID(door.post("/v1/predictions", body, **headers)[1]["id"]) for body in bodies]


def told(door: Any, identifier: UUID) -> tuple[str | None, Any]:
    """What the cache did, as a GET shows it, and the outputs."""
    _, shown, headers = door.call("GET", f"/v1/predictions/{identifier}", None)
    return headers.get("Cache-Status"), shown["output"]


def ran(door: Any, *bodies: Any, **headers: str) -> list[tuple[str | None, Any]]:
    """Each request accepted and run by itself, one after the other."""
    found = []
    for body in bodies:
        [identifier] = accepted(door, body, **headers)
        execution.run([identifier])
        found.append(told(door, identifier))
    return found


def test_an_equal_input_is_not_run_again(door, cached):
    counted = metrics.value(metrics.CACHE_REQUESTS, ("demo", "adder", "1", "hit"))
    first, second, other = ran(door, ask([1, 2]), ask([1.0, 2.0]), ask([1, 3]))
    assert [status for status, _ in (first, second, other)] == [MISS, HIT, MISS]
    assert first[1] == second[1] == {"value": [3.0], "version": [1]}
    assert other[1]["value"] == [4.0]
    assert metrics.value(metrics.CACHE_REQUESTS, ("demo", "adder", "1", "hit")) == counted + 1


def test_a_hit_is_recorded_as_one(door, cached):
    ids = accepted(door, ask([1, 2]), ask([1, 2]))
    for identifier in ids:
        execution.run([identifier])
    rows = [Prediction.objects.get(id=identifier) for identifier in ids]
    assert [recording.record_of(row, None).cached for row in rows] == [False, True]
    assert [row.status for row in rows] == ["succeeded"] * 2


def test_equal_inputs_of_one_batch_run_once(door, cached):
    ids = accepted(door, ask([1, 2]), ask([1, 2]), ask([1, 3]), ask([1, 2]))
    rows = metrics.seen(metrics.BATCH_ROWS).get(("demo", "adder", "1"), ([], 0.0))[1]
    execution.run(ids)
    assert metrics.seen(metrics.BATCH_ROWS)["demo", "adder", "1"][1] == rows + 2
    found = [told(door, identifier) for identifier in ids]
    assert [status for status, _ in found] == [MISS, f"{MISS}; collapsed", MISS, f"{MISS}; collapsed"]
    assert [output["value"] for _, output in found] == [[3.0], [3.0], [4.0], [3.0]]


def test_a_promotion_is_never_answered_with_what_another_version_said(door, cached, register):
    ran(door, ask([1, 2]))
    register("adder", cast.adder(2), cache_ttl_s=60)
    assert ran(door, ask([1, 2])) == [(MISS, {"value": [3.0], "version": [2]})]


def test_no_cache_runs_the_model_and_no_store_keeps_nothing(door, cached):
    bypass = "serving-blueprint; fwd=request"
    assert ran(door, ask([1, 2]), Cache_Control="no-store")[0][0] == bypass
    assert ran(door, ask([1, 2]))[0][0] == MISS
    assert ran(door, ask([1, 2]), Cache_Control="no-cache")[0][0] == bypass
    assert ran(door, ask([1, 2]))[0][0] == HIT


def test_who_asks_for_a_fresh_run_gets_one_beside_equal_inputs_of_its_batch(door, cached):
    ids = [*accepted(door, ask([1, 2])), *accepted(door, ask([1, 2]), Cache_Control="no-cache")]
    execution.run(ids)
    assert [told(door, identifier)[0] for identifier in ids] == [MISS, "serving-blueprint; fwd=request"]


def test_without_a_cache_nothing_is_said_and_nothing_kept(door, register):
    register("adder", cast.adder())
    assert [status for status, _ in ran(door, ask([1, 2]), ask([1, 2]))] == [None, None]


def test_answers_that_are_too_old_or_none_of_ours_are_run(door, cached):
    ran(door, ask([1, 2]))
    [(key, kept)] = [(key, value) for key, value in stored().items()]
    for stranger in (b"x", 7, [], [1e12], ["now", "{}"], [kept[0] - 61, kept[1]], [kept[0], "{"], [kept[0], "[]"],
                     [kept[0], '{"other":[1]}'], {"a": 1}):  # fmt: skip
        caches["default"].set(key, stranger)
        assert ran(door, ask([1, 2])) == [(MISS, {"value": [3.0], "version": [1]})], stranger


def test_a_cache_that_is_away_costs_a_run(door, cached, settings):
    nobody = redis_urls.cache(f"redis://127.0.0.1:{free_port()}", prefix="serving", connections=2, ca_file="")
    settings.CACHES = {**settings.CACHES, "default": nobody}
    assert [status for status, _ in ran(door, ask([1, 2]), ask([1, 2]))] == [MISS, MISS]


def test_a_failure_is_not_kept_and_who_waited_for_it_is_run(door, register):
    caches["default"].clear()
    register("adder", cast.native("raising"), cache_ttl_s=60)
    bad = ask([cast.MAGIC, 2])
    ids = accepted(door, bad, bad, ask([1, 2]))
    execution.run(ids)
    rows = [Prediction.objects.get(id=identifier) for identifier in ids]
    assert [(row.status, row.error_code) for row in rows] == [("failed", "model_error")] * 2 + [("succeeded", "")]
    assert len(stored()) == 1


def test_who_waited_for_a_run_that_died_is_run_alone(door, register):
    caches["default"].clear()
    register("adder", cast.native("crashing"), cache_ttl_s=60)
    bad = ask([cast.MAGIC, 2])
    ids = accepted(door, bad, bad)
    execution.run(ids)
    rows = [Prediction.objects.get(id=identifier) for identifier in ids]
    assert [(row.status, row.alone) for row in rows] == [("failed", False), ("starting", True)]


def test_large_answers_are_not_kept(door, cached):
    ran(door, ask(*[[1, 2]] * 5000))
    assert stored() == {}


def stored() -> dict[str, Any]:
    """What the in-process cache holds of answers."""
    names = [name.split(":", 2)[2] for name in caches["default"]._cache if ":answer:" in name]
    return caches["default"].get_many(names)


@pytest.fixture(autouse=True)
def _leave_nothing(db: None) -> Any:
    yield
    caches["default"].clear()
    snapshot.close()
