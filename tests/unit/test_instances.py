"""Rows as lists, objects or bare values become tensors, and tensors become one entry per instance."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models_registry.errors import DomainError, InvalidInput, TooLarge, UnusableOutput
from models_registry.runtime.signature import Signature, TensorSpec
from predictions.protocols import instances
from tests.generated import cases

CLASSIFIER = Signature(
    inputs=(TensorSpec("input", "FP32", (-1, 3), columns=("a", "b", "c")),),
    outputs=(TensorSpec("label", "BYTES", (-1,)), TensorSpec("probabilities", "FP32", (-1, 2))),
    classes=("no", "yes"),
)
UNNAMED = Signature(inputs=(TensorSpec("x", "FP64", (-1, 2)),), outputs=(TensorSpec("value", "FP64", (-1, 1)),))
PIXELS = Signature(inputs=(TensorSpec("x", "UINT8", (-1, 2, 2)),), outputs=(TensorSpec("value", "FP64", (-1,)),))
SINGLE = Signature(inputs=(TensorSpec("x", "FP64", (-1, 1)),), outputs=(TensorSpec("value", "FP64", (-1,)),))
FLAT = Signature(inputs=(TensorSpec("x", "INT64", (-1,)),), outputs=(TensorSpec("value", "INT64", (-1,)),))
PENGUINS = Signature(
    inputs=(
        TensorSpec("island", "BYTES", (-1, 1), nullable=True),
        TensorSpec("mass", "FP32", (-1, 1), nullable=True),
        TensorSpec("year", "INT64", (-1, 1)),
    ),
    outputs=(TensorSpec("label", "BYTES", (-1,)),),
)


def decoded(signature: Signature, rows: Any) -> dict[str, Any]:
    request = instances.decode({"instances": rows}, signature, row_limit=4)
    assert request.rows == len(rows)
    return {name: array.tolist() for name, array in request.inputs.items()}


@pytest.mark.parametrize(
    ("signature", "rows", "found"),
    [
        (CLASSIFIER, [[1, 2, 3.5]], {"input": [[1, 2, 3.5]]}),
        (CLASSIFIER, [{"c": 3, "a": 1, "b": 2}], {"input": [[1, 2, 3]]}),
        (UNNAMED, [[1, 2], [3, 4]], {"x": [[1, 2], [3, 4]]}),
        (UNNAMED, [{"x": [1, 2]}], {"x": [[1, 2]]}),
        (PIXELS, [[[1, 2], [3, 4]]], {"x": [[[1, 2], [3, 4]]]}),
        (PIXELS, [{"x": [[1, 2], [3, 4]]}], {"x": [[[1, 2], [3, 4]]]}),
        (SINGLE, [1, 2], {"x": [[1], [2]]}),
        (SINGLE, [[1], [2]], {"x": [[1], [2]]}),
        (SINGLE, [{"x": 1}], {"x": [[1]]}),
        (FLAT, [1, 2], {"x": [1, 2]}),
        (FLAT, [[1], [2]], {"x": [1, 2]}),
        (FLAT, [{"x": 1}], {"x": [1]}),
        (PENGUINS, [["Dream", 3700, 2007]], {"island": [["Dream"]], "mass": [[3700]], "year": [[2007]]}),
        (PENGUINS, [{"year": 7, "island": None, "mass": 1}], {"island": [[None]], "mass": [[1]], "year": [[7]]}),
    ],
)
def test_rows_come_as_lists_objects_or_bare_values(signature: Signature, rows: Any, found: dict[str, Any]) -> None:
    assert decoded(signature, rows) == found


def test_a_nullable_column_left_out_is_a_missing_value() -> None:
    found = decoded(PENGUINS, [{"year": 2007}])
    assert found["island"] == [[None]]
    assert math.isnan(found["mass"][0][0])


@pytest.mark.parametrize(
    ("signature", "rows", "row", "field"),
    [
        (CLASSIFIER, [[1, 2, 3], [1, 2]], 1, "input"),
        (CLASSIFIER, [[1, 2, 3], [1, "2", 3]], 1, "b"),
        (CLASSIFIER, [[1, 2, 3], [1, 2, None]], 1, "c"),
        (CLASSIFIER, [{"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 2}], 1, "c"),
        (CLASSIFIER, [{"a": 1, "b": 2, "c": 3, "d": 4}], 0, "d"),
        (CLASSIFIER, [{"a": 1, "b": 2, "c": 3}, [1, 2, 3]], 1, None),
        (CLASSIFIER, [[1, 2, 3], {"a": 1, "b": 2, "c": 3}], 1, None),
        (CLASSIFIER, [1], 0, "input"),
        (CLASSIFIER, [{"a": [1], "b": 2, "c": 3}], 0, None),
        (CLASSIFIER, [[1, 2, 1e39]], 0, "c"),
        (PENGUINS, [["Dream", 3700, 2007], ["Dream", 3700]], 1, None),
        (PENGUINS, [["Dream", 3700, 2007], 3], 1, None),
        (PENGUINS, [{"island": "a", "mass": 1}], 0, "year"),
        (PENGUINS, [{"island": "a", "mass": 1, "year": None}], 0, "year"),
        (PENGUINS, [{"island": "a", "mass": "heavy", "year": 1}], 0, "mass"),
        (PENGUINS, [{"island": 1, "mass": 1, "year": 1}], 0, "island"),
        (PENGUINS, [{"island": "a", "mass": 1, "year": 2007.5}], 0, "year"),
        (PENGUINS, [{"island": "a", "mass": 1, "year": True}], 0, "year"),
        (PIXELS, [[[1, 2], [3, 300]]], 0, "x[3]"),
        (FLAT, [1, [2, 3]], 1, "x"),
    ],
)
def test_a_bad_row_is_named_with_its_column(signature: Signature, rows: Any, row: int, field: str | None) -> None:
    with pytest.raises(InvalidInput) as refused:
        instances.decode({"instances": rows}, signature, row_limit=4)
    assert refused.value.row == row
    if field is not None:
        assert refused.value.field == field


@pytest.mark.parametrize(
    "input",
    [None, [], 1, {}, {"instances": None}, {"instances": []}, {"instances": {}}, {"instances": [[1, 2, 3]], "x": 1}],
)
def test_what_is_no_list_of_instances_is_refused(input: Any) -> None:
    with pytest.raises(InvalidInput):
        instances.decode(input, CLASSIFIER, row_limit=4)


def test_rows_beyond_the_limit_are_refused() -> None:
    assert decoded(FLAT, [1] * 4)
    with pytest.raises(TooLarge):
        decoded(FLAT, [1] * 5)


def test_outputs_are_one_entry_per_instance() -> None:
    outputs = {
        "label": np.array(["no", "yes"], object),
        "probabilities": np.array([[0.9, 0.1], [0.25, 0.75]], np.float32),
    }
    assert instances.encode(outputs, CLASSIFIER) == {
        "label": ["no", "yes"],
        "probabilities": [[0.9, 0.1], [0.25, 0.75]],
    }
    assert instances.encode({"value": np.array([[1.5], [2]])}, UNNAMED) == {"value": [1.5, 2.0]}
    assert orjson.dumps(instances.encode({"value": np.array([2**63 - 1])}, FLAT)) == b'{"value":[9223372036854775807]}'


@pytest.mark.parametrize(
    ("value", "row"),
    [
        (np.array([1, np.nan]), 1),
        (np.array([[np.inf], [1]]), 0),
        (np.array([1, -np.inf], np.float32), 1),
        (np.array(["a", None], object), None),
        (np.array(1.0), None),
    ],
)
def test_an_output_no_client_could_read_is_refused(value: Any, row: int | None) -> None:
    with pytest.raises(UnusableOutput) as refused:
        instances.encode({"value": value}, UNNAMED)
    assert refused.value.row == row


def test_missing_and_uneven_outputs_are_refused() -> None:
    with pytest.raises(UnusableOutput, match="no output probabilities"):
        instances.encode({"label": np.array(["a"], object)}, CLASSIFIER)
    with pytest.raises(UnusableOutput, match="different lengths"):
        instances.encode({"label": np.array(["a"], object), "probabilities": np.zeros((2, 2))}, CLASSIFIER)


# An independent judge, row by row. ------------------------------------------------------------------------------


class Refused(Exception):
    pass


def judged(rows: list[Any]) -> list[list[Any]]:
    """Columns come bare, or every cell as a list of one."""
    columns = [list(cells) for cells in zip(*map(named, rows), strict=True)]
    for at, cells in enumerate(columns):
        if all(isinstance(cell, list) and len(cell) == 1 for cell in cells):
            columns[at] = [cell[0] for cell in cells]
    return [judged_row(*row) for row in zip(*columns, strict=True)]


def named(row: Any) -> tuple[Any, Any, Any]:
    if isinstance(row, list):
        if len(row) != 3:
            raise Refused
        row = dict(zip(("island", "mass", "year"), row, strict=True))
    if not isinstance(row, dict) or set(row) - {"island", "mass", "year"} or "year" not in row:
        raise Refused
    return row.get("island"), row.get("mass"), row["year"]


def judged_row(island: Any, mass: Any, year: Any) -> list[Any]:
    if island is not None and not isinstance(island, str):
        raise Refused
    if mass is not None:
        if isinstance(mass, bool) or not isinstance(mass, (int, float)) or abs(mass) >= 3.4028235677973366e38:
            raise Refused
        mass = float(np.float32(mass))
    if isinstance(year, bool) or not isinstance(year, int) or not -(2**63) <= year < 2**63:
        raise Refused
    return [island, mass, year]


CELLS = st.one_of(
    st.text(max_size=3),
    st.integers(0, 5000),
    st.floats(0, 1e4),
    st.none(),
    st.sampled_from([True, 2**63, 2**64, 1e39, -1e300, 1.0, [], {}, "1", [1]]),
)
GOOD = st.fixed_dictionaries(
    {"year": st.integers(2000, 2020)},
    optional={"island": st.none() | st.text(max_size=3), "mass": st.none() | st.floats(0, 1e4) | st.integers(0, 9)},
)
OBJECTS = st.dictionaries(st.sampled_from(["island", "mass", "year", "Year", ""]), CELLS, max_size=4)
LISTS = st.tuples(st.none() | st.text(max_size=3), st.none() | st.floats(0, 9), st.integers(0, 9)).map(list)
ROWS = st.one_of(
    st.lists(GOOD, max_size=4),
    st.lists(LISTS, max_size=4),
    st.lists(st.one_of(GOOD, OBJECTS), max_size=4),
    st.lists(st.one_of(LISTS, st.lists(CELLS, max_size=4)), max_size=4),
    st.lists(st.one_of(GOOD, LISTS, CELLS), max_size=4),
)


@given(rows=ROWS)
@example(rows=[{"year": [1]}, {"year": [2]}])
@example(rows=[{"year": [1]}, {"year": 2}])
@example(rows=[["a", [1.5], 2], ["b", [None], 3]])
@cases(2_000, full=200_000)
def test_rows_agree_with_an_independent_judge(rows: list[Any]) -> None:
    try:
        if not 1 <= len(rows) <= 3 or len({type(row) for row in rows}) > 1:
            raise Refused
        expected = judged(rows)
    except Refused:
        with pytest.raises(DomainError):
            instances.decode({"instances": rows}, PENGUINS, row_limit=3)
    else:
        inputs = instances.decode({"instances": rows}, PENGUINS, row_limit=3).inputs
        columns = [inputs[name].ravel().tolist() for name in ("island", "mass", "year")]
        columns[1] = [None if math.isnan(value) else value for value in columns[1]]
        assert [list(row) for row in zip(*columns, strict=True)] == expected
