"""One bad request fails alone, and the others of its batch are answered."""

from __future__ import annotations

import numpy as np
import pytest

from models_registry import errors
from models_registry.runtime import bisection
from models_registry.runtime.onnx import OnnxPredictor
from models_registry.runtime.signature import Signature, Tensors
from tests import cast


class Adder:
    """An adder in this thread that fails as it is told on a row with the magic value."""

    signature: Signature

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.calls: list[int] = []

    def predict(self, inputs: Tensors, *, timeout: float) -> Tensors:
        rows = inputs["input"]
        self.calls.append(len(rows))
        if self.failure is not None and (rows == cast.MAGIC).any():
            raise self.failure
        return {"value": rows.sum(axis=1)}

    def memory_bytes(self) -> int:
        return 0

    def close(self) -> None: ...


def request(*rows: float) -> Tensors:
    return {"input": np.array([[row, 1.0] for row in rows])}


def test_requests_are_answered_with_one_call_and_their_own_rows() -> None:
    predictor = Adder()
    answers = bisection.predict_each(predictor, [request(1), request(2, 3), request(4)], timeout=1)
    assert [answer["value"].tolist() for answer in answers] == [[2], [3, 4], [5]]
    assert predictor.calls == [4]


@pytest.mark.parametrize("failure", [errors.ModelRaised("no"), errors.UnusableOutput("no")])
@pytest.mark.parametrize("bad", [0, 3, 7])
def test_the_request_that_makes_the_model_raise_fails_alone(failure: errors.DomainError, bad: int) -> None:
    requests = [request(float(number)) for number in range(8)]
    requests[bad] = request(1.0, cast.MAGIC)
    predictor = Adder(failure)
    answers = bisection.predict_each(predictor, requests, timeout=1)
    assert [number for number, answer in enumerate(answers) if answer is failure] == [bad]
    assert all(answers[number]["value"].tolist() == [number + 1] for number in range(8) if number != bad)
    assert len(predictor.calls) == 7  # the whole, then two halves on each of three levels


@pytest.mark.parametrize("kind", [errors.ProcessCrashed, errors.ResourceExhausted, errors.PredictionTimeout])
def test_a_batch_whose_process_died_is_not_tried_in_halves(kind: type[errors.DomainError]) -> None:
    predictor = Adder(kind("gone"))
    answers = bisection.predict_each(predictor, [request(1), request(cast.MAGIC), request(3)], timeout=1)
    assert [type(answer) for answer in answers] == [kind] * 3
    assert predictor.calls == [3]


def test_requests_of_different_width_are_answered_each_alone() -> None:
    wide = {"input": np.ones((1, 3))}
    answers = bisection.predict_each(Adder(), [request(1), wide], timeout=1)
    assert [answer["value"].tolist() for answer in answers] == [[2], [3]]


def test_a_bug_in_a_runtime_is_an_error_of_the_requests_and_not_raised() -> None:
    answers = bisection.predict_each(Adder(ZeroDivisionError("oops")), [request(cast.MAGIC)], timeout=1)
    assert isinstance(answers[0], errors.ModelRaised)
    assert "oops" in answers[0].message


def test_an_answer_of_the_wrong_length_is_unusable() -> None:
    class Short(Adder):
        def predict(self, inputs: Tensors, *, timeout: float) -> Tensors:
            return {"value": np.zeros(1)}

    answers = bisection.predict_each(Short(), [request(1), request(2, 3)], timeout=1)
    assert answers[0]["value"].tolist() == [0]
    assert isinstance(answers[1], errors.UnusableOutput)


def test_no_request_is_no_call() -> None:
    predictor = Adder()
    assert bisection.predict_each(predictor, [], timeout=1) == []
    assert predictor.calls == []


def test_text_and_numbers_are_stacked_and_split() -> None:
    member = cast.text()
    predictor = OnnxPredictor(member.model, member.signature, missing_text=member.missing_text)
    requests = [
        {"word": np.array([[word]], dtype=object), "number": np.array([[number]])}
        for word, number in (("a", 1.0), (None, np.nan))
    ]
    answers = bisection.predict_each(predictor, requests, timeout=5)
    assert [answer["echo"].tolist() for answer in answers] == [["a"], ["missing"]]
    assert [answer["value"].tolist() for answer in answers] == [[1.0], [0.0]]
