"""Answers kept in a process: equal inputs only, not for long, bounded, one run for many, and no failure kept."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

from models_registry import errors
from models_registry.response_cache import OVERHEAD, Outcome, ResponseCache, Wish, _Flight, key_of
from models_registry.routing import Version
from models_registry.runtime.signature import Signature, TensorSpec
from predictions.protocols import cache_control
from tests import cast
from tests.versions import a_version

VERSION = a_version(cast.adder().signature, id=uuid4(), hard_limit_s=30.0, cache_ttl_s=60.0)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Model:
    """Counts its runs; each answers with the sum of its rows, after `seconds`."""

    def __init__(self, inputs: Any, seconds: float = 0.0) -> None:
        self.inputs = inputs
        self.runs = 0
        self._seconds = seconds

    def __call__(self) -> Any:
        self.runs += 1
        time.sleep(self._seconds)
        return {"value": self.inputs["input"].sum(axis=1)}


def ask(*rows: list[float]) -> Any:
    return {"input": np.array(rows, dtype=np.float64)}


def cache(limit: int = 2**20, **more: Any) -> ResponseCache:
    return ResponseCache(limit, **({"followers": 8} | more))


def outcome(shelf: ResponseCache, run: Any, version: Version = VERSION, wish: Wish = Wish.NONE) -> Outcome:
    return shelf.answer(version, run.inputs, run=run, wait=5.0, wish=wish).outcome


# Keys -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        ask([1, 3]),
        ask([1, 2], [1, 2]),
        {"input": np.array([[1, 2]], dtype=np.float32)},
        {"input": np.array([[1], [2]], dtype=np.float64)},
        ask([1, -0.0]),
    ],
    ids=["value", "rows", "type", "shape", "sign of zero"],
)
def test_inputs_that_differ_have_different_keys(other: Any) -> None:
    assert key_of(VERSION, other) != key_of(VERSION, ask([1, 2]))
    assert key_of(VERSION, other) != key_of(VERSION, ask([1, 0.0]))


def test_equal_inputs_have_one_key_however_they_lie_in_memory() -> None:
    wide = np.array([[1, 9, 2, 9]], dtype=np.float64)[:, ::2]
    assert not wide.flags.c_contiguous or wide.base is not None
    assert key_of(VERSION, {"input": wide}) == key_of(VERSION, ask([1, 2]))
    assert key_of(VERSION, {"input": np.asfortranarray([[1.0, 2.0]])}) == key_of(VERSION, ask([1, 2]))


@pytest.mark.parametrize(
    "change",
    [{"digest": "e"}, {"served_digest": "e"}, {"missing_text": "?"}, {"project_id": 2}, {"runtime": "native"}],
    ids=lambda change: next(iter(change)),
)
def test_another_artefact_configuration_or_project_has_other_keys(change: dict[str, Any]) -> None:
    assert key_of(replace(VERSION, id=uuid4(), **change), ask([1, 2])) != key_of(VERSION, ask([1, 2]))


def test_texts_are_told_apart_wherever_they_are_cut() -> None:
    spec = TensorSpec("word", "BYTES", (-1, 2), nullable=True)
    version = replace(VERSION, id=uuid4(), signature=Signature((spec,), ()))
    texts = [["ab", "c"], ["a", "bc"], ["abc", ""], ["abc", None], ["abc", "null"], ["abc", "\ud800"], ['ab","c', ""]]
    keys = {key_of(version, {"word": np.array([row], dtype=object)}) for row in texts}
    assert len(keys) == len(texts)


# Keeping ----------------------------------------------------------------------------------------------------


def test_an_equal_input_is_answered_without_a_run_until_its_time_is_over() -> None:
    clock = Clock()
    shelf, model = cache(clock=clock), Model(ask([1, 2]))
    first = shelf.answer(VERSION, model.inputs, run=model, wait=5.0)
    assert (first.outcome, first.ttl_s) == (Outcome.MISS, 60.0)
    clock.now = 59.0
    again = shelf.answer(VERSION, ask([1, 2]), run=model, wait=5.0)
    assert (again.outcome, again.ttl_s, again.outputs["value"].tolist()) == (Outcome.HIT, 1.0, [3.0])
    clock.now = 60.0
    assert outcome(shelf, model) is Outcome.MISS
    assert model.runs == 2


def test_a_shorter_time_holds_for_what_was_kept_before() -> None:
    clock = Clock()
    shelf, model = cache(clock=clock), Model(ask([1, 2]))
    outcome(shelf, model)
    clock.now = 10.0
    assert outcome(shelf, model, replace(VERSION, cache_ttl_s=5.0)) is Outcome.MISS


def test_an_answer_that_was_kept_cannot_be_changed_by_whoever_has_it() -> None:
    shelf, model = cache(), Model(ask([1, 2]))
    first = shelf.answer(VERSION, model.inputs, run=model, wait=5.0)
    first.outputs["value"][0] = 99.0
    second = shelf.answer(VERSION, model.inputs, run=model, wait=5.0)
    assert second.outputs["value"].tolist() == [3.0]
    with pytest.raises(ValueError, match="read-only"):
        second.outputs["value"][0] = 99.0


def test_bytes_are_bounded_and_the_least_recently_used_goes_first() -> None:
    limit = 10 * (OVERHEAD + 8)
    shelf = cache(limit)
    models = [Model(ask([1, number])) for number in range(11)]
    for model in models[:10]:
        outcome(shelf, model)
    assert outcome(shelf, models[0]) is Outcome.HIT
    outcome(shelf, models[10])
    assert (len(shelf), shelf.octets) == (10, limit)
    assert outcome(shelf, models[0]) is Outcome.HIT
    assert outcome(shelf, models[1]) is Outcome.MISS
    for number in range(1000):
        outcome(shelf, Model(ask([2, number])))
        assert shelf.octets <= limit


def test_an_answer_too_large_is_given_and_not_kept() -> None:
    shelf, model = cache(10_000), Model(ask(*[[1, 2]] * 1_000))
    answered = shelf.answer(VERSION, model.inputs, run=model, wait=5.0)
    assert (answered.outcome, answered.ttl_s, len(answered.outputs["value"])) == (Outcome.MISS, 0.0, 1_000)
    assert (len(shelf), shelf.octets) == (0, 0)


def test_a_cut_of_a_batch_does_not_keep_the_batch() -> None:
    shelf, batch = cache(), np.zeros(1_000_000)
    shelf.put(VERSION, b"key", {"value": batch[:1]})
    kept = shelf._entries[b"key"].outputs["value"]
    assert kept.base is None


def test_answers_die_with_their_predictor() -> None:
    other = replace(VERSION, id=uuid4(), digest="e")
    shelf, model = cache(), Model(ask([1, 2]))
    outcome(shelf, model)
    outcome(shelf, model, other)
    shelf.keep({other.id})
    assert (outcome(shelf, model, other), len(shelf)) == (Outcome.HIT, 1)
    assert outcome(shelf, model) is Outcome.MISS
    shelf.clear()
    assert (len(shelf), shelf.octets) == (0, 0)


# Wishes -----------------------------------------------------------------------------------------------------


def test_a_fresh_answer_is_run_and_kept_for_others() -> None:
    shelf, model = cache(), Model(ask([1, 2]))
    outcome(shelf, model)
    assert outcome(shelf, model, wish=Wish.FRESH) is Outcome.BYPASS
    assert model.runs == 2
    assert outcome(shelf, model) is Outcome.HIT


def test_nothing_is_kept_of_a_request_that_wishes_so() -> None:
    shelf, model = cache(), Model(ask([1, 2]))
    assert outcome(shelf, model, wish=Wish.NO_STORE) is Outcome.BYPASS
    assert (len(shelf), outcome(shelf, model)) == (0, Outcome.MISS)


@pytest.mark.parametrize(
    ("header", "wish"),
    [
        ("", Wish.NONE),
        ("no-cache", Wish.FRESH),
        ("No-Cache, foo=1", Wish.FRESH),
        ("max-age=0", Wish.FRESH),
        ("max-age = 0", Wish.FRESH),
        ("max-age=60", Wish.NONE),
        ("no-cache, no-store", Wish.NO_STORE),
        ("x-no-cache", Wish.NONE),
        (',,;="no-cache', Wish.NONE),
    ],
)
def test_cache_control_is_read(header: str, wish: Wish) -> None:
    assert cache_control.wish_of(header) is wish


def test_cache_status_says_what_happened() -> None:
    said = [
        cache_control.status(Outcome.HIT, ttl_s=12.7),
        cache_control.status(Outcome.MISS, ttl_s=60.0),
        cache_control.status(Outcome.MISS),
        cache_control.status(Outcome.COLLAPSED, ttl_s=60.0),
        cache_control.status(Outcome.BYPASS),
    ]
    assert said == [
        "serving-blueprint; hit; ttl=12",
        "serving-blueprint; fwd=miss; stored",
        "serving-blueprint; fwd=miss",
        "serving-blueprint; fwd=miss; collapsed",
        "serving-blueprint; fwd=request",
    ]


# One run for many -------------------------------------------------------------------------------------------


def together(count: int, work: Any) -> list[Any]:
    """What so many threads make of the same work."""
    found: list[Any] = []

    def one() -> None:
        try:
            found.append(work())
        except Exception as error:
            found.append(error)

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def when_waiting(shelf: ResponseCache, count: int, first: Any) -> Any:
    """A run that ends as `first` does once so many callers wait for it; every later run answers at once."""
    runs: list[int] = []
    free = shelf._followers._value

    def run() -> Any:
        runs.append(1)
        if len(runs) > 1:
            return {"value": np.array([3.0])}
        until = time.monotonic() + 10
        while free - shelf._followers._value < count and time.monotonic() < until:
            time.sleep(0.001)
        return first()

    return run, runs


def raise_crashed() -> Any:
    raise errors.ProcessCrashed("the leader's process died")


def test_equal_inputs_at_once_are_run_once() -> None:
    shelf, inputs = cache(), ask([1, 2])
    run, runs = when_waiting(shelf, 7, lambda: {"value": np.array([3.0])})
    found = together(8, lambda: shelf.answer(VERSION, inputs, run=run, wait=10.0))
    assert len(runs) == 1
    assert sorted(one.outcome for one in found) == [*["collapsed"] * 7, "miss"]
    assert all(one.outputs["value"].tolist() == [3.0] for one in found)


def test_a_failing_leader_fails_alone() -> None:
    shelf, inputs = cache(), ask([1, 2])
    run, runs = when_waiting(shelf, 3, raise_crashed)
    found = together(4, lambda: shelf.answer(VERSION, inputs, run=run, wait=10.0))
    failed = [one for one in found if isinstance(one, Exception)]
    assert [str(error) for error in failed] == ["the leader's process died"]
    assert [one.outputs["value"].tolist() for one in found if one not in failed] == [[3.0]] * 3
    assert len(runs) == 4
    assert shelf._flights == {}
    assert shelf.answer(VERSION, inputs, run=run, wait=10.0).outputs["value"].tolist() == [3.0]


def test_a_follower_waits_no_longer_than_it_may_and_runs_by_itself() -> None:
    shelf, inputs, gate = cache(), ask([1, 2]), threading.Event()
    slow = threading.Thread(target=lambda: shelf.answer(VERSION, inputs, run=lambda: gate.wait(9) and {}, wait=5.0))
    slow.start()
    while not shelf._flights:
        time.sleep(0.001)
    model = Model(inputs)
    assert shelf.answer(VERSION, inputs, run=model, wait=0.05).outcome is Outcome.MISS
    assert model.runs == 1
    gate.set()
    slow.join()


def test_no_more_callers_wait_than_may() -> None:
    shelf, inputs = cache(followers=2), ask([1, 2])
    run, runs = when_waiting(shelf, 2, lambda: {"value": np.array([3.0])})
    found = together(3, lambda: shelf.answer(VERSION, inputs, run=run, wait=10.0))
    assert ([one.outcome for one in found].count(Outcome.COLLAPSED), len(runs)) == (2, 1)
    assert shelf._followers.acquire(blocking=False)
    assert shelf._followers.acquire(blocking=False), "both places are free again"
    model = Model(ask([1, 9]))
    shelf._flights[key_of(VERSION, model.inputs)] = _Flight()  # a run that does not end
    assert shelf.answer(VERSION, model.inputs, run=model, wait=10.0).outcome is Outcome.MISS
