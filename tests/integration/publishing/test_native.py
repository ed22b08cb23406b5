"""Native models in their own process: one bad input fails its own call, whatever it does to the process."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from models_registry import errors
from models_registry.runtime import bisection, loading
from models_registry.runtime.native import NativePredictor
from models_registry.runtime.signature import Tensors
from tests import cast

GOOD = {"input": np.array([[1.0, 2.0], [3.0, 4.0]])}
BAD = {"input": np.array([[1.0, 2.0], [cast.MAGIC, 4.0]])}


@contextmanager
def loaded(kind: str) -> Iterator[NativePredictor]:
    member = cast.native(kind)
    loader = loading.LOADERS[member.format]
    with closing(NativePredictor(Path("model"), member.signature, loader=loader, memory_limit=1 << 30)) as predictor:
        predictor.load()
        yield predictor


def until_answered(predictor: NativePredictor, inputs: Tensors) -> Tensors:
    return predictor.predict(inputs, timeout=10)


@pytest.mark.parametrize(
    ("kind", "error", "timeout"),
    [
        ("raising", errors.ModelRaised, 10),
        ("crashing", errors.ProcessCrashed, 10),
        ("segfaulting", errors.ProcessCrashed, 10),
        ("greedy", errors.ResourceExhausted, 10),
        ("hanging", errors.PredictionTimeout, 0.5),
    ],
)
def test_a_bad_input_fails_its_own_call_and_the_next_is_answered(
    kind: str, error: type[errors.DomainError], timeout: float
) -> None:
    with loaded(kind) as predictor:
        for _ in range(2):
            with pytest.raises(error):
                predictor.predict(BAD, timeout=timeout)
            assert until_answered(predictor, GOOD)["value"].tolist() == [3, 7]


def test_loading_again_is_not_counted_as_the_calls_time() -> None:
    with loaded("crashing") as predictor:
        with pytest.raises(errors.ProcessCrashed):
            predictor.predict(BAD, timeout=10)
        # Starting a process takes longer than this; the model's own time is what is limited.
        assert predictor.predict(GOOD, timeout=2)["value"].tolist() == [3, 7]


def test_nan_of_one_row_is_passed_on_for_the_caller_to_judge() -> None:
    with loaded("nan") as predictor:
        value = predictor.predict(BAD, timeout=10)["value"]
    assert value[0] == 3
    assert np.isnan(value[1])


def test_a_raising_item_of_a_batch_fails_alone() -> None:
    with loaded("raising") as predictor:
        answers = bisection.predict_each(predictor, [GOOD, BAD, GOOD], timeout=10)
    assert answers[0]["value"].tolist() == answers[2]["value"].tolist() == [3, 7]
    assert isinstance(answers[1], errors.ModelRaised)


def test_a_child_killed_from_outside_is_replaced() -> None:
    with loaded("plain") as predictor:
        os.kill(predictor._pid, signal.SIGKILL)
        time.sleep(0.3)
        assert until_answered(predictor, GOOD)["value"].tolist() == [3, 7]
        assert predictor.memory_bytes() > 1 << 20


def test_eight_threads_are_all_answered() -> None:
    with loaded("plain") as predictor, ThreadPoolExecutor(8) as pool:
        work: Callable[[int], bool] = lambda number: (  # noqa: E731
            predictor.predict({"input": np.array([[number, 1.0]])}, timeout=20)["value"].tolist() == [number + 1]
        )
        assert all(pool.map(work, range(100)))


def test_a_loader_that_fails_says_why() -> None:
    member = cast.adder()
    with (
        closing(
            NativePredictor(Path("x"), member.signature, loader="tests.misbehaving:nobody", memory_limit=1 << 30)
        ) as predictor,
        pytest.raises(errors.ModelRaised, match="nobody"),
    ):
        predictor.load()
