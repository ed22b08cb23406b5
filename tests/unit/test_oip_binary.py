"""A binary request whose head was read before gives what the general way gives, or is left to it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from models_registry import errors
from models_registry.routing import Route, Version
from models_registry.runtime.signature import Signature, TensorSpec
from predictions.protocols import oip, oip_binary
from tests.versions import a_version

OUTPUTS = (TensorSpec("score", "FP32", (-1, 2)), TensorSpec("rank", "INT64", (-1,)))
ANSWER = {"score": np.array([[0.5, 1.5], [2.5, 3.5]], np.float32), "rank": np.array([4, 5])}
ROWS = 2


def version(*inputs: TensorSpec, outputs: tuple[TensorSpec, ...] = OUTPUTS) -> Version:
    return a_version(Signature(inputs, outputs), model="binary", number=3)


WIDE = TensorSpec("wide", "FP64", (-1, 3))
COUNTS = TensorSpec("counts", "INT32", (-1, 2))
ONE, TWO = version(WIDE), version(WIDE, COUNTS)
FLAGS, TEXTS = version(TensorSpec("flags", "BOOL", (-1, 1))), version(TensorSpec("texts", "BYTES", (-1, 1)))
NAMED = version(TensorSpec("input", "FP64", (-1, 2), columns=("left", "right")))
COLUMNS = version(TensorSpec("left", "FP64", (-1, 1)), TensorSpec("right", "FP64", (-1, 1)))


def item(name: str, datatype: str, shape: list[int], size: int) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}}


def head_of(*inputs: dict[str, Any], **fields: Any) -> bytes:
    return json.dumps({"inputs": inputs, **fields}).encode()


WIDE_ITEM = item("wide", "FP64", [ROWS, 3], 48)
#: A head, and the types of the tensors behind it.
KNOWN = {
    "plain": (ONE, head_of(WIDE_ITEM), ["<f8"]),
    "all outputs as bytes": (ONE, head_of(WIDE_ITEM, parameters={"binary_data_output": True}), ["<f8"]),
    "one output as bytes": (
        ONE,
        head_of(WIDE_ITEM, outputs=[{"name": "rank", "parameters": {"binary_data": True}}]),
        ["<f8"],
    ),
    "outputs in another order": (
        ONE,
        head_of(WIDE_ITEM, outputs=[{"name": "rank"}, {"name": "score"}], parameters={"binary_data_output": True}),
        ["<f8"],
    ),
    "classes": (ONE, head_of(WIDE_ITEM, outputs=[{"name": "score", "parameters": {"classification": 1}}]), ["<f8"]),
    "an id and a limit": (ONE, head_of(WIDE_ITEM, id="mine é", parameters={"timeout": 5_000_000}), ["<f8"]),
    "a narrower type": (ONE, head_of(item("wide", "FP32", [ROWS, 3], 24)), ["<f4"]),
    "half precision": (ONE, head_of(item("wide", "FP16", [ROWS, 3], 12)), ["<f2"]),
    "two inputs": (TWO, head_of(WIDE_ITEM, item("counts", "INT32", [ROWS, 2], 16)), ["<f8", "<i4"]),
    "two inputs the other way round": (TWO, head_of(item("counts", "INT16", [ROWS, 2], 8), WIDE_ITEM), ["<i2", "<f8"]),
}  # fmt: skip
#: What is left to the general way each time.
NEW = {
    "flags": (FLAGS, head_of(item("flags", "BOOL", [ROWS, 1], 2)), b"\1\0"),
    "texts": (TEXTS, head_of(item("texts", "BYTES", [ROWS, 1], 8)), b"\0" * 8),
    "columns by name": (
        NAMED,
        head_of(item("left", "FP64", [ROWS, 1], 16), item("right", "FP64", [ROWS, 1], 16)),
        np.arange(4.0).tobytes(),
    ),
    "a matrix for columns": (COLUMNS, head_of(item("matrix", "FP64", [ROWS, 2], 32)), np.arange(4.0).tobytes()),
    "one tensor in the head": (
        TWO,
        head_of(WIDE_ITEM, {"name": "counts", "datatype": "INT32", "shape": [ROWS, 2], "data": [1, 2, 3, 4]}),
        np.arange(6.0).tobytes(),
    ),
    "a long head": (ONE, head_of(WIDE_ITEM, id="x" * 200).ljust(oip_binary.LONGEST + 1), np.arange(6.0).tobytes()),
}


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oip_binary, "_heads", {})


def tail_of(types: list[str], first: int) -> bytes:
    sizes = {"<f8": 6, "<f4": 6, "<f2": 6, "<i4": 4, "<i2": 4}
    return b"".join(np.arange(first, first + sizes[each]).astype(each).tobytes() for each in types)


def general(of: Version, head: bytes, tail: bytes) -> oip.Bound:
    return oip.bind(oip.parse(head + tail, str(len(head))), of, row_limit=10)


def again(of: Version, head: bytes, tail: bytes, *, row_limit: int = 10) -> oip.Bound | None:
    return oip.read(head + tail, of, row_limit=row_limit, header_length=str(len(head)))


@pytest.mark.parametrize(("of", "head", "types"), KNOWN.values(), ids=KNOWN)
def test_a_known_head_with_another_tail_is_read_and_answered_alike(of: Version, head: bytes, types: list[str]) -> None:
    assert again(of, head, tail_of(types, 1)) is None
    general(of, head, tail_of(types, 1))
    quick, slow = again(of, head, tail_of(types, 7)), general(of, head, tail_of(types, 7))
    assert quick is not None
    assert (quick.wanted, quick.timeout_s) == (slow.wanted, slow.timeout_s)
    ours, theirs = quick.request, slow.request
    assert (ours.rows, ours.outputs, ours.request_id) == (theirs.rows, theirs.outputs, theirs.request_id)
    assert list(ours.inputs) == list(theirs.inputs)
    for name, expected in theirs.inputs.items():
        array = ours.inputs[name]
        assert (array.dtype, array.shape, array.tolist()) == (expected.dtype, expected.shape, expected.tolist())
        assert array.flags.aligned
    route = Route(of, "alias champion")
    assert oip.encode(quick, route, "an id", ANSWER) == oip.encode(slow, route, "an id", ANSWER)


@pytest.mark.parametrize(("of", "head", "tail"), NEW.values(), ids=NEW)
def test_what_is_more_than_numbers_of_known_sizes_is_read_anew(of: Version, head: bytes, tail: bytes) -> None:
    general(of, head, tail)
    assert again(of, head, tail) is None


def test_what_no_longer_fits_is_left_to_the_general_way_which_says_why() -> None:
    of, head, types = KNOWN["plain"]
    good = tail_of(types, 1)
    general(of, head, good)
    assert again(of, head, good) is not None
    for tail in (good[:-1], good + b"\0", b"", np.array([1, 2, np.nan, 4, 5, 6]).tobytes()):
        assert again(of, head, tail) is None
        with pytest.raises(errors.InvalidInput):
            general(of, head, tail)
    assert again(of, head, good, row_limit=1) is None
    # Another version of the same model may take something else.
    assert again(version(WIDE), head, good) is None


def test_text_outputs_as_bytes_are_answered_the_general_way() -> None:
    of = version(WIDE, outputs=(TensorSpec("label", "BYTES", (-1,)),))
    head, tail = head_of(WIDE_ITEM, parameters={"binary_data_output": True}), tail_of(["<f8"], 1)
    slow = general(of, head, tail)
    quick = again(of, head, tail)
    assert quick is not None
    outputs = {"label": np.array(["a", "é"], dtype=object)}
    route = Route(of, "alias champion")
    assert oip.encode(quick, route, "an id", outputs) == oip.encode(slow, route, "an id", outputs)


def test_heads_without_end_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oip_binary, "MOST", 3)
    for number in range(10):
        general(ONE, head_of(WIDE_ITEM, id=str(number)), tail_of(["<f8"], 1))
        assert len(oip_binary._heads) <= 3
