"""The common form of an Open Inference Protocol request, read in one go: one flat or nested tensor of floats in JSON.

Four times as fast as the general way, because nothing is made that the answer does not need. Whatever is not exactly
of this form is left to `oip`, which reads it or says what is wrong with it; so both accept and give the same.
"""

from __future__ import annotations

import struct
from itertools import chain
from typing import Any

import msgspec
import numpy as np

from models_registry.runtime.signature import Signature, TensorSpec
from models_registry.runtime.tensors import Array
from predictions.protocols import oip_buffers

#: Longer bodies take the general way, which counts their containers before it makes any.
LONGEST = 2**20

#: Longest id that is taken here, in characters.
_LONGEST_ID = 256

#: Datatype of an input → what may be declared for it in JSON.
_TAKEN = {"FP32": ("FP32",), "FP64": ("FP64", "FP32")}
#: Datatype → how one element is packed, and what numpy calls it.
_PACKED: dict[str, tuple[str, np.dtype[Any]]] = {"FP32": ("f", np.dtype("<f4")), "FP64": ("d", np.dtype("<f8"))}


class _Input(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    name: str
    shape: list[int]
    datatype: str
    data: list[float]


class _Flat(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    inputs: list[_Input]
    id: str = ""


class _NestedInput(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    name: str
    shape: list[int]
    datatype: str
    data: list[list[float]]


class _Nested(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    inputs: list[_NestedInput]
    id: str = ""


_flat = msgspec.json.Decoder(_Flat).decode
_nested = msgspec.json.Decoder(_Nested).decode


def takes(signature: Signature) -> bool:
    """Whether requests to this version can be of the form: one input of floats, each row as wide as the others."""
    spec = signature.inputs[0]
    sizes = spec.shape[1:]
    return len(signature.inputs) == 1 and spec.datatype in ("FP32", "FP64") and len(sizes) == 1 and sizes[0] > 0


def read(body: bytes, spec: TensorSpec, *, row_limit: int) -> tuple[str, Array] | None:
    """The request's id ("" when it has none) and its tensor, checked; None when the body is not of the form.

    `spec` is the one input of a signature that `takes` is true for.
    """
    if len(body) > LONGEST or b"\\" in body:
        return None
    found = oip_buffers.read(body) if len(body) >= oip_buffers.LARGE else _read(body)
    if found is None:
        return None
    identifier, name, shape, datatype, data = found
    width = spec.shape[1]
    if name != spec.name or datatype not in _TAKEN[spec.datatype] or len(identifier) > _LONGEST_ID:
        return None
    if len(shape) != 2 or shape[1] != width or not 1 <= shape[0] <= row_limit or len(data) != shape[0] * width:
        return None
    array = _packed(spec, data, shape) if isinstance(data, list) else _narrowed(spec, data, shape)
    return None if array is None else (identifier, array)


def _read(body: bytes) -> tuple[str, str, list[int], str, list[float]] | None:
    """Id, and name, shape, datatype and elements of the tensor; no elements where rows differ from what is declared."""
    try:
        request: _Flat | _Nested = _nested(body) if b"[[" in body else _flat(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    # Keys given twice, and explicit nulls, show as more colons than the fields have; so do colons inside of strings.
    if len(request.inputs) != 1 or body.count(b":") != (6 if request.id else 5):
        return None
    tensor = request.inputs[0]
    return request.id, tensor.name, tensor.shape, tensor.datatype, _flattened(tensor)


def _flattened(tensor: _Input | _NestedInput) -> list[float]:
    if isinstance(tensor, _Input):
        return tensor.data
    if [len(tensor.data)] != tensor.shape[:1] or [*set(map(len, tensor.data))] != tensor.shape[1:]:
        return []
    return list(chain.from_iterable(tensor.data))


def _packed(spec: TensorSpec, data: list[float], shape: list[int]) -> Array | None:
    """Floats as an array of the spec's type; None when one does not fit. JSON has no NaN, and null is no float."""
    # Packing takes floats at twice the pace of numpy, which asks each of them what it is; it rounds to the nearest
    # single as numpy does, and (with "<") refuses what is beyond the largest.
    letter, dtype = _PACKED[spec.datatype]
    try:
        return np.ndarray(shape, dtype, struct.pack(f"<{len(data)}{letter}", *data))
    except OverflowError:
        return None


def _narrowed(spec: TensorSpec, data: Array, shape: list[int]) -> Array | None:
    """The same of elements that are FP64 already."""
    _, dtype = _PACKED[spec.datatype]
    try:
        with np.errstate(over="raise"):
            return data.astype(dtype, copy=False).reshape(shape)
    except FloatingPointError:
        return None
