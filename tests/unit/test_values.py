"""What can be searched of a prediction: the first instance, by the names people know."""

from __future__ import annotations

import numpy as np

from models_registry.runtime.signature import Signature, TensorSpec
from monitoring.records import Value
from predictions.protocols import values

CLASSIFIER = Signature(
    inputs=(TensorSpec("input", "FP64", (-1, 2), columns=("length", "width")),),
    outputs=(TensorSpec("label", "BYTES", (-1,)), TensorSpec("probabilities", "FP64", (-1, 2))),
    classes=("setosa", 1),
)
ASKED = {"input": np.array([[1.5, np.nan], [9, 9]])}
ANSWERED = {"label": np.array(["setosa", "x"], object), "probabilities": np.array([[0.75, 0.25], [0, 1]])}


def test_the_first_instance_is_found_by_column_name_and_class() -> None:
    assert values.searchable(CLASSIFIER, ASKED, ANSWERED) == (
        Value("input", "length", number=1.5),
        Value("output", "label", text="setosa"),
        Value("output", "probabilities.setosa", number=0.75),
        Value("output", "probabilities.1", number=0.25),
    )


def test_named_columns_of_mixed_types_are_found_by_name() -> None:
    signature = Signature(
        inputs=(TensorSpec("island", "BYTES", (-1, 1), nullable=True), TensorSpec("old", "BOOL", (-1, 1))),
        outputs=(TensorSpec("value", "FP32", (-1, 1)),),
    )
    inputs = {"island": np.array([["é" * 1200]], object), "old": np.array([[True]])}
    found = values.searchable(signature, inputs, {"value": np.array([[2]], np.float32)})
    assert found == (
        Value("input", "island", text="é" * values.MAX_TEXT),
        Value("input", "old", number=1.0),
        Value("output", "value", number=2.0),
    )
    assert values.searchable(signature, {"island": np.array([[None]], object)}, None) == ()


def test_a_failed_prediction_still_has_its_inputs() -> None:
    assert [value.name for value in values.searchable(CLASSIFIER, ASKED, None)] == ["length"]
    assert values.searchable(CLASSIFIER, None, None) == ()


def test_wide_inputs_leave_room_for_the_answer_and_nothing_exceeds_64() -> None:
    wide = Signature(
        inputs=(TensorSpec("pixels", "UINT8", (-1, 784)),),
        outputs=(TensorSpec("label", "INT64", (-1,)), TensorSpec("probabilities", "FP32", (-1, 1000))),
    )
    inputs = {"pixels": np.zeros((1, 784), np.uint8)}
    found = values.searchable(wide, inputs, {"label": np.array([3]), "probabilities": np.ones((1, 1000), np.float32)})
    assert len(found) == 64
    assert [value.name for value in found if value.side == "output"][:2] == ["label", "probabilities.0"]
    assert found[47].name == "pixels.47"
    narrow = values.searchable(wide, {}, {"label": np.array([3]), "probabilities": np.ones((1, 1000), np.float32)})
    assert len(narrow) == 64
