"""The quick way of reading a request gives what the general way gives, or leaves the request to it."""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models_registry import errors
from models_registry.routing import Route, Version
from models_registry.runtime.signature import Signature, TensorSpec
from predictions.protocols import oip, oip_buffers, oip_forms
from tests.generated import cases
from tests.versions import a_version


def version(datatype: str = "FP64", *, nullable: bool = False, width: int = 2) -> Version:
    return a_version(
        Signature(
            (TensorSpec("input", datatype, (-1, width), nullable=nullable),),
            (TensorSpec("label", "BYTES", (-1,)), TensorSpec("scores", "FP32", (-1, 2))),
        ),
        model="pairs",
        number=3,
        row_cost_s=(1e-5, 1e-5, 1e-5),
    )


PAIRS, NARROW, GAPS = version(), version("FP32"), version(nullable=True)


def general(body: bytes, of: Version) -> oip.Bound | None:
    """What the general way makes of it; None when it refuses."""
    try:
        return oip.bind(oip.parse(body), of, row_limit=100)
    except errors.DomainError:
        return None


def quickly(sent: bytes, of: Version) -> list[oip.Bound | None]:
    """What the quick way gives, as it reads small bodies and, where simdjson has a wheel, as it reads large ones."""
    found = []
    for large in (len(sent) + 1, 0) if oip_buffers.simdjson else (len(sent) + 1,):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(oip_buffers, "LARGE", large)
            found.append(oip.read(sent, of, row_limit=100))
    return found


def body(**changes: Any) -> bytes:
    tensor = {"name": "input", "shape": [2, 2], "datatype": "FP64", "data": [1, 2.5, -0.0, 1e300]}
    document = {"inputs": [{**tensor, **changes.pop("tensor", {})}], **changes}
    return json.dumps(document, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("sent", "of"),
    [
        (body(), PAIRS),
        (body(id="mine é"), PAIRS),
        (body(tensor={"data": [[1, 2], [3, 4]]}), PAIRS),
        (body(tensor={"datatype": "FP32"}), PAIRS),
        (body(tensor={"datatype": "FP32", "data": [0.1, 16777217, 3, 4]}), NARROW),
        (body(tensor={"shape": [40, 2], "data": [float(n) for n in range(80)]}), PAIRS),
        (body(tensor={"data": [2**53 + 1, 2**64 - 1, -(2**63), 0]}), PAIRS),
    ],
)
def test_the_common_form_is_read_at_once_and_alike(sent: bytes, of: Version) -> None:
    slow = general(sent, of)
    assert slow is not None
    for quick in quickly(sent, of):
        assert quick is not None
        same(quick, slow)


def test_integers_beyond_64_bits_are_left_to_the_general_way_in_large_bodies() -> None:
    small, *large = quickly(body(tensor={"data": [2**53 + 1, 2**64 + 1, 10**30, -(2**63)]}), PAIRS)
    assert small is not None
    assert not any(large)


@pytest.mark.parametrize("is_nested", [False, True])
def test_large_bodies_are_read_at_once_without_simdjson_too(is_nested: bool) -> None:
    rows = [[float(row), 0.5] for row in range(1000)]
    data = rows if is_nested else [number for row in rows for number in row]
    sent = body(tensor={"shape": [1000, 2], "data": data})
    assert len(sent) > 4096
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "simdjson", None)
        try:
            importlib.reload(oip_buffers)
            found = oip.read(sent, PAIRS, row_limit=1000)
        finally:
            patch.undo()
            importlib.reload(oip_buffers)
    assert found is not None
    np.testing.assert_array_equal(found.request.inputs["input"], rows)


@pytest.mark.parametrize(
    ("sent", "of"),
    [
        (body(tensor={"data": [1, 2, 3]}), PAIRS),
        (body(tensor={"data": [1, 2, 3, True]}), PAIRS),
        (body(tensor={"data": [1, 2, 3, None]}), GAPS),
        (body(tensor={"data": [1, 2, 3, "4"]}), PAIRS),
        (body(tensor={"data": [[1, 2, 3], [4]]}), PAIRS),
        (body(tensor={"data": [[[1, 2], 3], 4]}), PAIRS),
        (body(tensor={"data": [[1, 2], 3, 4]}), PAIRS),
        (body(tensor={"data": [[[1], [2]], [3, 4]]}), PAIRS),
        (body(tensor={"data": [1, 2, 3, {"a": 4}]}), PAIRS),
        (body(tensor={"data": 5}), PAIRS),
        (body(tensor={"shape": [True, 2], "data": [1, 2]}), PAIRS),
        (body(tensor={"data": [1, 2, 3, 1e300], "datatype": "FP32"}), NARROW),
        (body(tensor={"datatype": "FP16"}), NARROW),
        (body(tensor={"datatype": "FP64"}), NARROW),
        (body(tensor={"shape": [2.0, 2]}), PAIRS),
        (body(tensor={"shape": [4, 1]}), PAIRS),
        (body(tensor={"shape": [101, 2], "data": [0.0] * 202}), PAIRS),
        (body(tensor={"shape": [0, 2], "data": []}), PAIRS),
        (body(tensor={"name": "other"}), PAIRS),
        (body(id=None), PAIRS),
        (body(id="a:b"), PAIRS),
        (body(id=5), PAIRS),
        (body(id=True), PAIRS),
        (body(id=["a"]), PAIRS),
        (body(id="x" * 257), PAIRS),
        (body(more=1), PAIRS),
        (body(outputs=[{"name": "label"}]), PAIRS),
        (body().replace(b'"name"', b'"name": "input", "name"'), PAIRS),
        (body().replace(b"2.5", b"NaN"), PAIRS),
        (body().replace(b"2.5", b"1e999"), PAIRS),
        (body() + b"x", PAIRS),
        (b"", PAIRS),
        (b"[]", PAIRS),
        (b'{"inputs":[]}', PAIRS),
    ],
)
def test_everything_else_is_left_to_the_general_way(sent: bytes, of: Version) -> None:
    assert not any(quickly(sent, of))


NUMBERS = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**70), 2**70), st.none())
FIELDS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["input", "other", ""]),
        "shape": st.lists(st.integers(-1, 3), max_size=3),
        "datatype": st.sampled_from(["FP64", "FP32", "FP16", "INT64", "BYTES", None]),
        "data": st.one_of(st.lists(NUMBERS, max_size=6), st.lists(st.lists(NUMBERS, max_size=3), max_size=3)),
        "parameters": st.just({}),
    },
)
EXTRAS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {}, optional={"id": st.one_of(st.none(), st.text(max_size=3)), "parameters": st.none()}
)


@cases(60, full=1000)
@given(FIELDS, EXTRAS, st.sampled_from([PAIRS, NARROW, GAPS]))
def test_both_ways_never_differ(tensor: dict[str, Any], extras: dict[str, Any], of: Version) -> None:
    sent = json.dumps({"inputs": [{"name": "input", "shape": [1, 2], "datatype": "FP32", **tensor}], **extras}).encode()
    for quick in quickly(sent, of):
        if quick is not None:
            slow = general(sent, of)
            assert slow is not None
            same(quick, slow)


def same(quick: oip.Bound, slow: oip.Bound) -> None:
    assert (quick.wanted, quick.timeout_s) == (slow.wanted, slow.timeout_s)
    ours, theirs = quick.request, slow.request
    assert (ours.rows, ours.outputs, ours.request_id) == (theirs.rows, theirs.outputs, theirs.request_id)
    array, expected = ours.inputs["input"], theirs.inputs["input"]
    assert (array.dtype, array.shape) == (expected.dtype, expected.shape)
    assert array.tobytes() == expected.tobytes()


@cases(60, full=1000)
@given(st.lists(st.tuples(st.text(), st.floats(width=32, allow_nan=False, allow_infinity=False)), min_size=1))
def test_the_answers_text_is_the_same_whichever_way_it_is_written(rows: list[tuple[str, float]]) -> None:
    outputs = {
        "label": np.array([text for text, _ in rows], dtype=object),
        "scores": np.array([[score, -score] for _, score in rows], dtype=np.float32),
    }
    route = Route(PAIRS, "alias champion")
    bound = general(body(id="é"), PAIRS)
    assert bound is not None
    quick = oip.Bound(bound.request, oip_forms.of(PAIRS).wanted)
    assert oip.encode(quick, route, "an id", outputs) == oip.encode(bound, route, "an id", outputs)
