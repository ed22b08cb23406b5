"""Calls that meet go into the model together; nobody gets another's answer, and only a bad caller fails."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models_registry import errors
from models_registry.routing import Version
from models_registry.runtime.signature import Signature, Tensors, TensorSpec
from monitoring import declared, metrics
from predictions.online import coalescing
from predictions.online.coalescing import Turn
from tests.cast import MAGIC
from tests.generated import cases
from tests.versions import a_version
from tests.waiting import eventually

SIGNATURE = Signature((TensorSpec("input", "FP64", (-1, 2)),), (TensorSpec("value", "FP64", (-1,)),))
VERSION = a_version(SIGNATURE, id=UUID(int=7), model="gathered", hard_limit_s=20.0, row_cost_s=(1e-3, 1.5e-3, 4e-3))


class Adder:
    """An adder whose runs wait at a gate, once it is closed; fails as it is told on a row with the magic value."""

    signature = SIGNATURE

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.gate = threading.Event()
        self.gate.set()
        self.runs: list[int] = []

    def predict(self, inputs: Tensors, *, timeout: float) -> Tensors:
        rows = inputs["input"]
        self.runs.append(len(rows))
        assert self.gate.wait(10)
        if self.failure is not None and (rows == MAGIC).any():
            raise copy.copy(self.failure)
        return {"value": rows.sum(axis=1)}

    def memory_bytes(self) -> int:
        return 0

    def close(self) -> None: ...


def turn(predictor: Adder, rows: list[float], *, limit: float = 10.0, version: Version = VERSION, **more: Any) -> Turn:
    inputs = {"input": np.array([[row, 1.0] for row in rows])}
    return Turn(version, predictor, inputs, len(rows), time.perf_counter() + limit, **more)


def start(work: Callable[[], Any]) -> Callable[[], Any]:
    """Run in a thread; the callable returned waits for it and gives its result or its exception."""
    ended: list[Any] = []

    def run() -> None:
        try:
            ended.append(work())
        except Exception as error:
            ended.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def join() -> Any:
        thread.join(10)
        return ended[0]

    return join


def gathered(predictor: Adder, turns: list[Turn]) -> list[Any]:
    """What each caller gets when all of them arrive while another's run is on."""
    predictor.gate.clear()
    first = start(lambda: coalescing.predict(turn(predictor, [0.0])))
    while not predictor.runs:
        time.sleep(0.001)
    joins = []
    for place, one in enumerate(turns, start=1):
        joins.append(start(partial(coalescing.predict, one)))
        eventually(lambda place=place: coalescing.waiting(predictor) == place)
    predictor.gate.set()
    assert first()["value"].tolist() == [1.0]
    return [join() for join in joins]


@cases(25, full=300)
@given(st.lists(st.lists(st.integers(0, 10**6), min_size=1, max_size=4), min_size=1, max_size=6), st.data())
def test_answers_are_never_mixed_and_only_the_bad_caller_fails(requests: list[list[float]], data: Any) -> None:
    bad = data.draw(st.sets(st.integers(0, len(requests) - 1)))
    requests = [[*rows, MAGIC] if place in bad else rows for place, rows in enumerate(requests)]
    predictor = Adder(errors.ModelRaised("the magic row"))
    answers = gathered(predictor, [turn(predictor, rows) for rows in requests])
    assert predictor.runs[1] == sum(map(len, requests))
    for place, (rows, answer) in enumerate(zip(requests, answers, strict=True)):
        if place in bad:
            assert isinstance(answer, errors.ModelRaised)
        else:
            assert answer["value"].tolist() == [row + 1 for row in rows]
    failed = [answer for answer in answers if isinstance(answer, Exception)]
    assert len(set(map(id, failed))) == len(failed)


@pytest.mark.parametrize("failure", [errors.ProcessCrashed("gone"), errors.PredictionTimeout("slow"), OSError("odd")])
def test_what_a_batch_died_of_each_caller_tries_alone(failure: Exception) -> None:
    predictor = Adder(failure)
    answers = gathered(predictor, [turn(predictor, [1]), turn(predictor, [MAGIC]), turn(predictor, [2])])
    assert [answers[0]["value"].tolist(), answers[2]["value"].tolist()] == [[2], [3]]
    assert isinstance(answers[1], type(failure))
    assert sorted(predictor.runs) == [1, 1, 1, 1, 3]


def test_an_idle_model_runs_at_once_in_the_callers_thread() -> None:
    predictor = Adder()
    one = turn(predictor, [1, 2])
    assert coalescing.predict(one)["value"].tolist() == [2, 3]
    assert predictor.runs == [2]
    assert 0 < one.inference_s < 10
    assert 0 <= one.queue_s < 10


def test_callers_and_bytes_of_one_run_are_bounded() -> None:
    predictor = Adder()
    answers = gathered(predictor, [turn(predictor, [n]) for n in range(coalescing.MOST_CALLERS + 6)])
    assert [answer["value"].tolist() for answer in answers] == [[n + 1] for n in range(coalescing.MOST_CALLERS + 6)]
    assert predictor.runs == [1, coalescing.MOST_CALLERS, 6]


@pytest.mark.parametrize(
    ("rows", "cost", "own"),
    [(1, (1e-3, 8e-3, 6e-2), False), (1, (1e-3, 1.5e-3, 4e-3), True), (17, (1e-3, 1.5e-3, 4e-3), False)],
    ids=["does not pay", "own limit", "a batch already"],
)
def test_other_calls_do_not_wait_for_a_run(rows: int, cost: tuple[float, float, float], own: bool) -> None:
    version = replace(VERSION, row_cost_s=cost)
    predictor = Adder()
    predictor.gate.clear()
    calls = [turn(predictor, [n] * rows, version=version, has_own_limit=own) for n in range(3)]
    joins = [start(partial(coalescing.predict, one)) for one in calls]
    end = time.monotonic() + 10
    while len(predictor.runs) < 3:
        assert time.monotonic() < end
        time.sleep(0.001)
    predictor.gate.set()
    assert [join()["value"].tolist() for join in joins] == [[n + 1] * rows for n in range(3)]


def test_a_caller_that_gives_up_is_skipped() -> None:
    predictor = Adder()
    predictor.gate.clear()
    first = start(lambda: coalescing.predict(turn(predictor, [0.0])))
    while not predictor.runs:
        time.sleep(0.001)
    with pytest.raises(errors.PredictionTimeout):
        coalescing.predict(turn(predictor, [5.0], limit=0.05))
    last = start(lambda: coalescing.predict(turn(predictor, [7.0])))
    eventually(lambda: coalescing.waiting(predictor) == 2)
    predictor.gate.set()
    assert (first()["value"].tolist(), last()["value"].tolist()) == ([1.0], [8.0])
    assert predictor.runs == [1, 1]


@pytest.mark.parametrize(
    ("cost", "does"),
    [
        ((0.0, 0.0, 0.0), False),
        ((7e-6, 9e-6, 2e-5), False),
        ((1e-3, 8e-3, 6e-2), False),
        ((3e-4, 3.5e-4, 8e-4), True),
        ((5e-3, 6e-3, 1e-2), True),
    ],
)
def test_gathering_follows_what_publishing_measured(cost: tuple[float, float, float], does: bool) -> None:
    assert coalescing.pays(cost) is does


def test_the_rows_of_a_run_are_counted() -> None:
    version = replace(VERSION, id=UUID(int=8), model="counted")
    predictor = Adder()
    before = metrics.value(declared.BATCH_ROWS, ("demo", "counted", "1"))
    coalescing.predict(turn(predictor, [1, 2, 3], version=version))
    assert metrics.value(declared.BATCH_ROWS, ("demo", "counted", "1")) == before + 1
