"""A side of a record that is encoded from its parts is what keeping it whole, or cut, gives; to the octet."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from monitoring import keeping
from predictions.online.recording import _Field, _Side

KIB = 2**10


def floats(*shape: int) -> np.ndarray[Any, Any]:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


NUMBERS = {
    "small": [floats(2, 4)],
    "just not too large": [floats(4 * KIB, 1)],
    "too large": [floats(4 * KIB + 1, 1)],
    "few rows, too large": [floats(3, 4 * KIB)],
    "one row that is too large": [floats(1, 5 * KIB)],
    "two, together too large": [floats(3 * KIB, 1), floats(3 * KIB, 1)],
    "a large one and a small one": [floats(5 * KIB, 2), floats(5 * KIB)],
    "columns of a larger one": [floats(5 * KIB, 8)[:, 2:4]],
    "three axes": [floats(2 * KIB, 3, 2)],
}
TEXTS = {
    "short": [["a", "é"]],
    "too long": [["x" * 17 * KIB]],
}


def general(fields: list[_Field], arrays: list[np.ndarray[Any, Any]]) -> bytes:
    whole = [
        keeping.tensor(name, datatype, array, columns)
        for (name, datatype, columns), array in zip(fields, arrays, strict=True)
    ]
    return msgspec.msgpack.encode(keeping.keep_tensors(whole))


@pytest.mark.parametrize("arrays", NUMBERS.values(), ids=NUMBERS)
def test_numbers_are_kept_or_cut_alike(arrays: list[np.ndarray[Any, Any]]) -> None:
    fields = [_Field(f"t{place}", "FP32", ("a", "b")[:place]) for place in range(len(arrays))]
    side = _Side(fields)
    for _ in range(2):  # the second time from what the first has made
        encoded = side.encoded({field.name: array for field, array in zip(fields, arrays, strict=True)})
        assert encoded is not None
        assert bytes(encoded) == general(fields, arrays)


@pytest.mark.parametrize("texts", TEXTS.values(), ids=TEXTS)
def test_text_is_kept_alike_or_left_to_the_general_way(texts: list[list[str]]) -> None:
    fields = [_Field("numbers", "FP32", ()), _Field("texts", "BYTES", ())]
    arrays = [floats(2, 2), np.array(texts, dtype=object)]
    encoded = _Side(fields).encoded({"numbers": arrays[0], "texts": arrays[1]})
    is_short = sum(len(text) for row in texts for text in row) < keeping.ONLINE_LIMIT
    assert (encoded is not None) == is_short
    if encoded is not None:
        assert bytes(encoded) == general(fields, arrays)


def test_text_beside_numbers_that_are_too_large_is_left_to_the_general_way() -> None:
    for order in ((0, 1), (1, 0)):
        fields = [(_Field("numbers", "FP32", ()), _Field("texts", "BYTES", ()))[place] for place in order]
        tensors = {"numbers": floats(5 * KIB, 1), "texts": np.array([["a"]], dtype=object)}
        assert _Side(fields).encoded(tensors) is None


def test_a_side_with_a_tensor_missing_is_left_to_the_general_way() -> None:
    side = _Side([_Field("a", "FP32", ()), _Field("b", "FP32", ())])
    for there in ({"a": floats(1, 2)}, {"a": floats(5 * KIB, 1)}, {"b": floats(1, 2)}, {}):
        assert side.encoded(there) is None
