"""Parity: labels equal on every row, numbers within 1e-5 relative."""

from __future__ import annotations

import numpy as np
import pytest

from models_registry import errors
from models_registry.publishing import comparison, examples
from models_registry.runtime.signature import Signature, TensorSpec


def answer(labels: list[str], values: list[float]) -> dict[str, np.ndarray]:
    return {"label": np.array(labels, dtype=object), "value": np.array(values)}


def test_equal_answers_agree() -> None:
    assert comparison.compare(answer(["a", "b"], [1.0, 2.0]), answer(["a", "b"], [1.0, 2.0])).holds


def test_one_other_label_in_many_rows_is_no_parity() -> None:
    labels = ["a"] * 999
    parity = comparison.compare(answer([*labels, "a"], [1.0] * 1000), answer([*labels, "b"], [1.0] * 1000))
    assert (parity.holds, parity.labels_differ, parity.rows) == (False, 1, 1000)
    assert "row 999" in parity.sentence()


@pytest.mark.parametrize(("found", "holds"), [(100.0009, True), (100.0011, False), (np.nan, False), (np.inf, False)])
def test_values_agree_within_the_tolerance(found: float, holds: bool) -> None:
    assert comparison.compare({"value": np.array([100.0])}, {"value": np.array([found])}).holds is holds


@pytest.mark.parametrize(("apart", "holds"), [(2e-7, True), (2e-6, False)])
def test_a_tiny_probability_is_compared_by_its_absolute_difference(apart: float, holds: bool) -> None:
    native, compiled = np.array([[1e-7, 1.0]]), np.array([[1e-7 + apart, 1.0]])
    assert comparison.compare({"probabilities": native}, {"probabilities": compiled}).holds is holds


def test_an_answer_of_another_size_is_no_parity() -> None:
    assert not comparison.compare({"value": np.ones(3)}, {"value": np.ones(2)}).holds


SIGNATURE = Signature(
    (TensorSpec("input", "FP64", (-1, 2), columns=("a", "b")),), (TensorSpec("value", "FP64", (-1,)),)
)


def add(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"value": inputs["input"].sum(axis=1)}


@pytest.mark.parametrize("instance", [[1, 2], {"a": 1, "b": 2}])
def test_examples_are_run_as_rows_or_by_column_name(instance: object) -> None:
    assert examples.run([{"instance": instance, "output": {"value": 3.0}}], SIGNATURE, add).startswith("1 examples")


@pytest.mark.parametrize(
    ("example", "words"),
    [
        ({"instance": [1, 2], "output": {"value": 4.0}}, "example 0: value is 3.0, expected 4.0"),
        ({"instance": [1, 2], "output": {"label": "x"}}, "does not give"),
        ({"instance": {"a": 1}, "output": {"value": 1}}, "lacks 'b'"),
    ],
)
def test_an_example_that_fails_says_what_was_expected(example: dict[str, object], words: str) -> None:
    with pytest.raises(errors.InvalidInput, match=words):
        examples.run([example], SIGNATURE, add)


@pytest.mark.parametrize("wrong", [{}, [], [1], [{"instance": [1]}], [{"instance": [1], "output": 3}]])
def test_examples_of_another_shape_are_refused(wrong: object) -> None:
    with pytest.raises(errors.InvalidInput):
        examples.check_shape(wrong)
