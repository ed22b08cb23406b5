"""What a client's values may and may not become: no wrap, no rounding, no guess."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models_registry.errors import InvalidInput, TooLarge
from models_registry.runtime import tensors
from models_registry.runtime.signature import DTYPES, Signature, TensorSpec
from tests.generated import cases


def spec(datatype: str, *shape: int, nullable: bool = False, columns: tuple[str, ...] = ()) -> TensorSpec:
    return TensorSpec("x", datatype, shape or (-1, 1), nullable=nullable, columns=columns)


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        *[("UINT8", value) for value in (300, 256, -1, 1.5, 1.0, True, "1", [], {}, 10**400, -(2**63))],
        *[("INT8", value) for value in (128, -129, False)],
        *[("UINT16", value) for value in (65536, -1)],
        *[("INT32", value) for value in (2**31, -(2**31) - 1)],
        *[("INT64", value) for value in (2**63, -(2**63) - 1, 1e18, 0.0, float(2**63))],
        *[("UINT64", value) for value in (2**64, -1, 1.8446744073709552e19)],
        *[("FP16", value) for value in (70000, -1e5)],
        *[("FP32", value) for value in (1e39, -1e39, 10**400, math.inf, -math.inf, math.nan, True, "1", {})],
        *[("FP64", value) for value in (10**309, math.inf, math.nan, False, "nan")],
        *[("BOOL", value) for value in (0, 1, 1.0, "true")],
        *[("BYTES", value) for value in (1, 1.5, True, b"bytes", ["a"])],
    ],
)
def test_a_value_outside_its_datatype_is_refused_by_row_and_column(datatype: str, value: Any) -> None:
    good: Any = {"BOOL": True, "BYTES": "a"}.get(datatype, 1)
    with pytest.raises(InvalidInput) as refused:
        tensors.column(spec(datatype, -1, 2, columns=("left", "right")), [[good, good], [good, value]])
    if not isinstance(value, list):
        assert (refused.value.row, refused.value.field) == (1, "right")
    assert len(refused.value.message) < 200


@pytest.mark.parametrize(
    ("datatype", "values"),
    [
        ("UINT8", [0, 255]),
        ("INT8", [-128, 127]),
        ("INT64", [-(2**63), 2**63 - 1]),
        ("UINT64", [0, 2**64 - 1]),
        ("FP64", [1, 2**64, -0.0, 5e-324, 1.7976931348623157e308]),
        ("FP32", [1, 0.1, 3.4028235e38, 1e-50]),
        ("BOOL", [True, False]),
        ("BYTES", ["", "é", "\u202e"]),
    ],
)
def test_the_bounds_themselves_are_taken(datatype: str, values: list[Any]) -> None:
    found = tensors.column(spec(datatype, -1), values)
    assert found.dtype == DTYPES[datatype]
    assert found.tolist() == np.array(values, dtype=DTYPES[datatype]).tolist()


def test_null_is_a_missing_value_only_where_the_signature_says_so() -> None:
    assert math.isnan(tensors.column(spec("FP32", nullable=True), [1, None])[1, 0])
    assert tensors.column(spec("BYTES", nullable=True), ["a", None]).tolist() == [["a"], [None]]
    for wanted in (spec("FP32"), spec("BYTES"), spec("INT64"), spec("BOOL")):
        with pytest.raises(InvalidInput, match="missing, and may not be") as refused:
            tensors.column(wanted, [None])
        assert refused.value.row == 0
    with pytest.raises(InvalidInput, match="INT64 cannot hold"):
        tensors.column(spec("INT64", nullable=True), [1, None])
    with pytest.raises(InvalidInput, match="out of range"):
        tensors.column(spec("FP64", nullable=True), [None, math.nan])


@pytest.mark.parametrize(
    ("values", "row"),
    [
        ([[1, 2], [1]], 1),
        ([[1, 2], [1, 2, 3]], 1),
        ([[1, 2], 3], 1),
        ([[1], [2]], 0),
        ([1, 2], None),
        ([[[1], [2]]], None),
        ([[1, [2]]], 0),
        ([[]], 0),
        ([[1, 2], []], 1),
        ([], None),
        ({"a": 1}, None),
        (None, None),
    ],
)
def test_ragged_rows_and_other_shapes_are_refused(values: Any, row: int | None) -> None:
    with pytest.raises(InvalidInput) as refused:
        tensors.column(spec("FP32", -1, 2), values)
    if row is not None:
        assert refused.value.row == row


@pytest.mark.parametrize(
    ("shape", "data"),
    [
        ([2, 2], [1]),
        ([2, 2], [[1, 2], [3]]),
        ([2, 2], [[1, 2, 3, 4]]),
        ([2, 2], [1, 2, 3, 4, 5]),
        ([-2, 2], [1]),
        ([2**62, 4], [1]),
        ([2**62, 2], [1]),
        ([2**80, 2], [1]),
        ([1.0, 2], [1, 2]),
        ([True, 2], [1, 2]),
        (["1", 2], [1, 2]),
        ([None, 2], [1, 2]),
        ([2], [1, 2]),
        ([1, 2, 1], [1, 2]),
        ([], [1]),
    ],
)
def test_declared_shapes_are_never_believed(shape: list[Any], data: list[Any]) -> None:
    with pytest.raises(InvalidInput):
        tensors.column(spec("FP32", -1, 2), data, shape=shape)
    with pytest.raises(InvalidInput):
        tensors.from_binary(spec("FP32", -1, 2), "FP32", shape=shape, data=memoryview(b"\0" * 4))


def test_data_may_be_flat_or_nested_beside_a_shape() -> None:
    for data in ([1, 2, 3, 4], [[1, 2], [3, 4]]):
        assert tensors.column(spec("INT32", -1, 2), data, shape=[2, 2]).tolist() == [[1, 2], [3, 4]]
    assert tensors.column(spec("INT32", -1, 2, 2), [[[1, 2], [3, 4]]]).shape == (1, 2, 2)
    assert tensors.column(spec("INT32", -1, 1), [1, 2], shape=[2]).shape == (2, 1)


def test_another_datatype_is_refused_rather_than_cast() -> None:
    with pytest.raises(InvalidInput, match="'FP64' is not FP32") as refused:
        tensors.datatype(spec("FP32"), "FP64")
    assert refused.value.field == "x"


@pytest.mark.parametrize("datatype", DTYPES)
def test_binary_tensors_survive_the_round_trip(datatype: str) -> None:
    values: Any = ["a", "", "é"] if datatype == "BYTES" else [0, 1, 1]
    array = np.array(values, dtype=DTYPES[datatype]).reshape(-1, 1)
    data = tensors.to_binary(array, datatype)
    found = tensors.from_binary(spec(datatype), datatype, shape=[3, 1], data=memoryview(data))
    assert found.dtype == DTYPES[datatype]
    assert found.tolist() == array.tolist()


@pytest.mark.parametrize(
    ("datatype", "shape", "data"),
    [
        ("FP32", [1, 1], b"\0" * 3),
        ("FP32", [1, 1], b"\0" * 5),
        ("FP32", [1, 1], struct.pack("<f", math.nan)),
        ("FP32", [1, 1], struct.pack("<f", math.inf)),
        ("FP64", [1, 1], struct.pack("<d", -math.inf)),
        ("BOOL", [2, 1], b"\x01\x02"),
        ("BYTES", [1, 1], b""),
        ("BYTES", [1, 1], b"\x05\0\0\0abcd"),
        ("BYTES", [1, 1], b"\xff\xff\xff\xffabcd"),
        ("BYTES", [1, 1], b"\x01\0\0\0ab"),
        ("BYTES", [1, 1], b"\x01\0\0\0\xff"),
        ("BYTES", [1, 1], b"\x01\0\0\0\0"),
        ("BYTES", [2, 1], b"\x04\0\0\0abcd"),
        ("BYTES", [1 << 40, 1], b"\x00\0\0\0"),
    ],
)
def test_binary_tensors_that_lie_are_refused(datatype: str, shape: list[int], data: bytes) -> None:
    with pytest.raises(InvalidInput):
        tensors.from_binary(spec(datatype), datatype, shape=shape, data=memoryview(data))


def test_nan_in_a_binary_tensor_is_missing_only_where_nullable() -> None:
    data = memoryview(struct.pack("<ff", 1.0, math.nan))
    assert math.isnan(tensors.from_binary(spec("FP32", nullable=True), "FP32", shape=[2, 1], data=data)[1, 0])
    with pytest.raises(InvalidInput, match="missing") as refused:
        tensors.from_binary(spec("FP32"), "FP32", shape=[2, 1], data=data)
    assert refused.value.row == 1


def test_a_request_is_complete_or_refused() -> None:
    pair = Signature(
        inputs=(TensorSpec("a", "FP32", (-1, 1)), TensorSpec("b", "BYTES", (-1, 1), nullable=True)), outputs=()
    )
    a = np.zeros((2, 1), np.float32)
    b = np.array([["t"], [None]], object)
    assert tensors.check(pair, {"a": a, "b": b}, row_limit=2) == 2
    for wrong, field in [
        ({"a": a}, "b"),
        ({"a": a, "b": b, "c": a}, "c"),
        ({"a": a.astype(np.float64), "b": b}, "a"),
        ({"a": a.reshape(-1), "b": b}, "a"),
        ({"a": a, "b": b[:1]}, "b"),
        ({"a": a[:0], "b": b[:0]}, "a"),
        ({"a": np.array([[np.nan], [0]], np.float32), "b": b}, "a"),
        ({"a": a, "b": np.array([["t"], [1]], object)}, "b"),
    ]:
        with pytest.raises(InvalidInput) as refused:
            tensors.check(pair, wrong, row_limit=2)
        assert refused.value.field == field
    with pytest.raises(TooLarge):
        tensors.check(pair, {"a": a, "b": b}, row_limit=1)


# An independent judge, one element at a time. ------------------------------------------------------------------

PACKED = {"INT8": "b", "UINT8": "B", "INT16": "h", "UINT16": "H", "INT32": "i", "UINT32": "I", "INT64": "q"}
PACKED |= {"UINT64": "Q", "FP16": "e", "FP32": "f", "FP64": "d"}


class Refused(Exception):
    pass


def judged(wanted: TensorSpec, value: Any, rank: int) -> Any:
    """The value as nested lists of what the tensor would hold."""
    if rank < len(wanted.shape):
        width = wanted.shape[rank]
        if rank == 1 and width == 1 and not isinstance(value, list):
            value = [value]
        if not isinstance(value, list) or (width != -1 and len(value) != width):
            raise Refused
        return [judged(wanted, item, rank + 1) for item in value]
    if value is None:
        if not wanted.nullable or wanted.datatype not in ("FP16", "FP32", "FP64", "BYTES"):
            raise Refused
        return None
    if wanted.datatype in ("BOOL", "BYTES"):
        if type(value) is not {"BOOL": bool, "BYTES": str}[wanted.datatype]:
            raise Refused
        return value
    if type(value) is not int and (type(value) is not float or not wanted.datatype.startswith("FP")):
        raise Refused
    return packed(PACKED[wanted.datatype], value)


def packed(letter: str, value: Any) -> Any:
    try:
        stored = struct.unpack("<" + letter, struct.pack("<" + letter, value))[0]
    except (struct.error, OverflowError):
        raise Refused from None
    if isinstance(stored, float) and not math.isfinite(stored):
        raise Refused
    return stored


NUMBERS = st.one_of(
    st.integers(-3, 300),
    st.sampled_from([s * 2**p + d for p in (7, 8, 15, 16, 31, 32, 63, 64, 127) for s in (1, -1) for d in (-1, 0, 1)]),
    st.floats(width=64),
    st.sampled_from([65504.0, 65520.0, 3.4028235e38, 3.5e38, 1e-50]),
)
ELEMENTS = st.one_of(NUMBERS, NUMBERS, st.none(), st.booleans(), st.text(max_size=3), st.sampled_from(["1", {}, []]))


@st.composite
def tensors_and_values(draw: st.DrawFn) -> tuple[TensorSpec, Any]:
    shape = draw(st.sampled_from([(-1,), (-1, 1), (-1, 2), (-1, 3), (-1, 2, 2), (-1, 2, 1)]))
    datatype = draw(st.sampled_from(sorted(DTYPES)))
    wanted = TensorSpec("x", datatype, shape, nullable=draw(st.booleans()))
    fitting: Any = {"BOOL": st.booleans(), "BYTES": st.text(max_size=3)}.get(datatype)
    if fitting is None:
        fitting = st.floats(-60000, 60000, width=16) if datatype.startswith("FP") else st.integers(0, 127)
    strange = draw(st.integers(0, 3)) == 0
    element = st.one_of(fitting, ELEMENTS) if strange else fitting
    value = element
    for width in reversed(shape[1:]):
        value = st.lists(value, min_size=width, max_size=width + (draw(st.integers(0, 9)) == 0))
    return wanted, draw(st.lists(value if not strange else st.one_of(value, element), min_size=1, max_size=4))


@given(case=tensors_and_values())
@cases(3_000, full=200_000)
def test_columns_agree_with_an_independent_judge(case: tuple[TensorSpec, Any]) -> None:
    wanted, values = case
    try:
        expected = judged(wanted, values, 0)
        mixed = len({type(item) is list for item in values}) > 1  # bare values and lists of one in one column
        if mixed:
            raise Refused
    except Refused:
        with pytest.raises(InvalidInput):
            tensors.column(wanted, values)
    else:
        found = tensors.column(wanted, values)
        assert found.dtype == DTYPES[wanted.datatype]
        assert repr(_nulls(found.tolist())) == repr(expected)


def _nulls(value: Any) -> Any:
    if isinstance(value, list):
        return [_nulls(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


@pytest.mark.parametrize(("narrow", "wide"), [("FP32", "FP64"), ("INT8", "INT64"), ("UINT16", "UINT32")])
def test_a_narrower_number_of_the_same_kind_is_widened_since_nothing_is_lost(narrow, wide):
    sent = np.array([[1, 2]], DTYPES[narrow])
    read = tensors.from_binary(spec(wide, -1, 2), narrow, shape=[1, 2], data=sent.tobytes())
    assert read.dtype == DTYPES[wide]
    assert read.tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("sent", "wanted"), [("FP64", "FP32"), ("INT64", "FP64"), ("INT64", "INT32"), ("UINT8", "INT64")]
)
def test_a_datatype_that_could_lose_something_is_refused(sent, wanted):
    with pytest.raises(InvalidInput, match="is not"):
        tensors.datatype(spec(wanted), sent)
