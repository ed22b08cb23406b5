"""Answered calls of many versions are added up together, each to its own version."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest

from models_registry.principals import Principal
from models_registry.response_cache import Answered, Outcome
from models_registry.routing import Route, Version
from models_registry.runtime.signature import Signature, TensorSpec
from monitoring import metrics
from predictions.online import counting, statistics
from predictions.online.recording import PROTOCOL, Call
from tests.versions import a_version

MATRIX = (TensorSpec("x", "FP32", (-1, 1)),)
VERSION = a_version(
    Signature(MATRIX, MATRIX),
    id=uuid.uuid4(),
    project="counting",
    model="first",
    digest="",
    served_digest="",
    hard_limit_s=10.0,
)


@pytest.fixture
def versions() -> Iterator[list[Version]]:
    """Two that nobody has called yet."""
    made = [replace(VERSION, id=uuid.uuid4(), model=model) for model in ("first", "second")]
    yield made
    for version in made:
        metrics.forget((version.project, version.model, "1"))


def _answer(version: Version, *, rows: int = 1, at: float = 1.0, outcome: Outcome | None = None) -> None:
    call = Call(
        Principal(1, "counting", "key", frozenset()), Route(version, "alias champion"), at, time.perf_counter(), {}
    )
    call.rows, call.inference_s, call.encode_s = rows, 0.0 if outcome is Outcome.HIT else 0.5, 0.25
    call.answered = None if outcome is None else Answered({}, outcome)
    counting.answered(call)


def test_each_version_gets_its_own_calls(versions: list[Version]) -> None:
    one, other = versions
    for version, rows, at in ((one, 2, 7.0), (other, 5, 8.0), (one, 3, 9.0)):
        _answer(version, rows=rows, at=at)
    counting.settle()
    first, second = statistics.of(one), statistics.of(other)
    assert (first.success.count, first.rows, first.infer.seconds, first.encode.seconds) == (2, 5, 1.0, 0.5)
    assert (second.success.count, second.rows, second.infer.seconds, second.encode.seconds) == (1, 5, 0.5, 0.25)
    assert (int(first.last_at), int(second.last_at)) == (9, 8)
    for version, number in ((one, 2), (other, 1)):
        labels = (version.project, version.model, "1", PROTOCOL)
        assert metrics.value(metrics.PREDICTIONS, (*labels, "succeeded")) == number
        counts, total = metrics.seen(metrics.INFERENCE_SECONDS)[labels]
        assert (sum(counts), total) == (number, number * 0.5)
        # All of them took the same time, so they are in one bucket.
        assert max(counts) == number


def test_an_answer_from_the_cache_is_in_no_part_of_a_run(versions: list[Version]) -> None:
    for outcome in (Outcome.HIT, Outcome.MISS):
        _answer(versions[0], outcome=outcome)
    counting.settle()
    found = statistics.of(versions[0])
    assert (found.success.count, found.hit.count, found.miss.count, found.infer.count) == (2, 1, 1, 1)
    assert metrics.value(metrics.INFERENCE_SECONDS, ("counting", "first", "1", PROTOCOL)) == 1
    assert metrics.value(metrics.PREDICTION_SECONDS, ("counting", "first", "1", PROTOCOL)) == 2


def test_answers_from_the_cache_alone_are_no_runs(versions: list[Version]) -> None:
    _answer(versions[0], outcome=Outcome.HIT)
    counting.settle()
    found = statistics.of(versions[0])
    assert (found.success.count, found.hit.count, found.infer.count, found.decode.count) == (1, 1, 0, 0)
