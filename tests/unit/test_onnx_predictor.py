"""A compiled model in this process: many threads, one session, an end to every run."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from models_registry import errors
from models_registry.runtime import onnx
from models_registry.runtime.onnx import OnnxPredictor
from models_registry.runtime.signature import Signature, TensorSpec
from tests import cast


def load(member: cast.Member) -> OnnxPredictor:
    return OnnxPredictor(member.model, member.signature, missing_text=member.missing_text)


def test_eight_threads_share_a_session_and_each_gets_its_own_sums() -> None:
    predictor = load(cast.adder(3))

    def work(number: int) -> bool:
        for turn in range(200):
            answer = predictor.predict({"input": np.array([[number, turn], [turn, 0.0]])}, timeout=5)
            if answer["value"].tolist() != [number + turn, turn] or answer["version"].tolist() != [3, 3]:
                return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


def test_label_and_probabilities_carry_the_signatures_names() -> None:
    answer = load(cast.classifier()).predict({"input": np.array([[2, 1], [1, 2]], dtype=np.float32)}, timeout=5)
    assert answer["label"].tolist() == ["yes", "no"]
    assert answer["probabilities"].shape == (2, 2)


def test_a_run_past_its_time_is_ended() -> None:
    predictor = load(cast.slow(5000))
    started = time.monotonic()
    with pytest.raises(errors.PredictionTimeout):
        predictor.predict({"input": np.zeros((1, 2))}, timeout=0.2)
    assert time.monotonic() - started < 2


def test_a_child_process_ends_its_runs_itself() -> None:
    predictor = load(cast.slow(5000))
    with pytest.raises(errors.PredictionTimeout):
        predictor.predict({"input": np.zeros((1, 2))}, timeout=0.05)
    onnx._watch.forget()  # as after a fork: the thread that looked is the parent's
    with pytest.raises(errors.PredictionTimeout):
        predictor.predict({"input": np.zeros((1, 2))}, timeout=0.05)
    assert not onnx._watch.runs


def test_float32_graph_takes_float64_values_and_refuses_what_it_cannot_hold() -> None:
    predictor = load(cast.classifier())
    assert predictor.predict({"input": np.array([[2.0, 1.0]])}, timeout=5)["label"].tolist() == ["yes"]
    with pytest.raises(errors.ModelRaised, match="too large for float32"):
        predictor.predict({"input": np.array([[1e300, 1.0]])}, timeout=5)


def test_missing_text_becomes_the_sentinel() -> None:
    inputs = {"word": np.array([["a"], [None]], dtype=object), "number": np.array([[np.nan], [2.0]])}
    assert load(cast.text()).predict(inputs, timeout=5)["echo"].tolist() == ["a", "missing"]


def test_what_onnxruntime_raises_is_a_model_error_and_the_next_call_works() -> None:
    predictor = load(cast.adder())
    with pytest.raises(errors.ModelRaised):
        predictor.predict({"input": np.zeros((1, 5))}, timeout=5)
    assert predictor.predict({"input": np.ones((1, 2))}, timeout=5)["value"].tolist() == [2]


def test_a_graph_that_does_not_fit_its_signature_is_not_loaded() -> None:
    other = Signature((TensorSpec("other", "FP64", (-1, 2)),), (TensorSpec("value", "FP64", (-1,)),))
    with pytest.raises(errors.ModelRaised, match="does not fit"):
        OnnxPredictor(cast.adder().model, other)


def test_bytes_that_are_no_graph_are_not_loaded() -> None:
    with pytest.raises(errors.ModelRaised, match="cannot load"):
        OnnxPredictor(cast.adder().model[:40], cast.adder().signature)
