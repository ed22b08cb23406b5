"""From what a client sent to checked arrays: no silent wrap, no rounding, no guess.

A value must be of the tensor's own kind: `true` is not 1, `"1"` is not a number, 1.5 and 1.0 are not integers;
a whole number fits a float tensor. Checks run over types and bounds at C speed; only a refusal walks the values,
to name row and column.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, NoReturn

import numpy as np

from models_registry.errors import InvalidInput, TooLarge
from models_registry.runtime import floats
from models_registry.runtime.signature import DTYPES, Signature, Tensors, TensorSpec

Array = np.ndarray[Any, Any]

#: No tensor can be larger than this many elements, whatever sizes a request declares.
MAX_ELEMENTS = 1 << 40

#: Datatypes taken for a wider one of the same kind: every value fits and nothing is rounded.
_WIDENED: Mapping[str, frozenset[str]] = {
    "FP64": frozenset(("FP32", "FP16")),
    "FP32": frozenset(("FP16",)),
    "INT64": frozenset(("INT32", "INT16", "INT8")),
    "INT32": frozenset(("INT16", "INT8")),
    "INT16": frozenset(("INT8",)),
    "UINT64": frozenset(("UINT32", "UINT16", "UINT8")),
    "UINT32": frozenset(("UINT16", "UINT8")),
    "UINT16": frozenset(("UINT8",)),
}

#: Datatypes whose elements are numbers, as they are sent.
LITTLE_ENDIAN: Mapping[str, np.dtype[Any]] = {
    name: dtype.newbyteorder("<") for name, dtype in DTYPES.items() if name not in ("BYTES", "BOOL")
}

_NONE = type(None)
_KINDS: Mapping[str, frozenset[type]] = {
    "b": frozenset((bool,)),
    "i": frozenset((int,)),
    "u": frozenset((int,)),
    "f": frozenset((int, float)),
    "O": frozenset((str,)),
}
_WORDS = {"b": "true or false", "i": "a whole number", "u": "a whole number", "f": "a number", "O": "text"}


def column(spec: TensorSpec, values: list[Any], *, shape: Sequence[Any] | None = None) -> Array:
    """JSON values of one tensor → an array of `spec.dtype`, rows on axis 0, every value checked.

    Without `shape`, nesting must show it (a width of one may be left out: `[1, 2]` for `[-1, 1]`). With the `shape`
    a request declares, values may also be flat, row-major. Raises `InvalidInput` naming field and row.
    """
    if type(values) is not list:
        raise InvalidInput(f"{spec.name}: data must be a list", field=spec.name)
    wanted = fit(spec, shape) if shape is not None else None
    flat, found = _flatten(spec, values)
    if wanted is None:
        if len(found) == 2 == len(spec.shape) and spec.shape[1] not in (-1, found[1]):
            _refuse_ragged(spec, values, [len(values)])
        wanted = fit(spec, found)
    elif found != wanted and (len(found) != 1 or len(flat) != math.prod(wanted)):
        raise InvalidInput(
            f"{spec.name}: {len(flat)} values of shape {list(found)} do not fill shape {list(wanted)}", field=spec.name
        )
    return _array(spec, flat, wanted)


def fit(spec: TensorSpec, shape: Sequence[Any]) -> tuple[int, ...]:
    """A declared or found shape, checked against the spec's; computed in Python ints, nothing is allocated."""
    for size in shape:
        if type(size) is not int or not 0 <= size <= MAX_ELEMENTS:
            raise InvalidInput(f"{spec.name}: shape {_short(list(shape))} is not a shape", field=spec.name)
    found = tuple(shape)
    if len(found) == 1 and len(spec.shape) == 2 and spec.shape[1] == 1:
        found = (found[0], 1)
    if len(found) != len(spec.shape) or any(w not in (-1, f) for w, f in zip(spec.shape, found, strict=True)):
        raise InvalidInput(f"{spec.name}: shape {list(found)[:8]} does not fit {list(spec.shape)}", field=spec.name)
    if math.prod(found) > MAX_ELEMENTS:
        raise InvalidInput(f"{spec.name}: shape {list(found)[:8]} is too large", field=spec.name)
    return found


def datatype(spec: TensorSpec, declared: Any) -> None:
    """Refuse a tensor whose declared datatype is neither the signature's nor one that widens to it without loss."""
    widens = isinstance(declared, str) and declared in _WIDENED.get(spec.datatype, ())
    if declared != spec.datatype and not widens:
        raise InvalidInput(f"{spec.name}: datatype {_short(declared)} is not {spec.datatype}", field=spec.name)


def from_binary(spec: TensorSpec, declared: Any, *, shape: Sequence[Any], data: memoryview | bytes) -> Array:
    """Little-endian row-major bytes of the declared datatype → a checked array of `spec.dtype`.

    Where type and alignment allow it, the array is a view of `data` (read-only over bytes) and not a copy. Sizes are
    compared before anything is allocated. NaN is a missing value, only where the spec is nullable;
    infinity never; BOOL bytes are 0 or 1; BYTES elements are UTF-8 with a uint32 length in front.
    """
    datatype(spec, declared)
    wanted = fit(spec, shape)
    count = math.prod(wanted)
    if spec.datatype == "BYTES":
        return _texts(spec, _split(spec, memoryview(data), count), wanted)
    sent = DTYPES[declared]
    if len(data) != count * sent.itemsize:
        raise InvalidInput(f"{spec.name}: {len(data)} bytes are not {count} elements of {declared}", field=spec.name)
    if spec.datatype == "BOOL":
        bits = np.frombuffer(data, dtype=np.uint8)
        if bits.size and int(bits.max()) > 1:
            _refuse(spec, int(np.argmax(bits > 1)), wanted, "must be the byte 0 or 1")
        return bits.astype(np.bool_).reshape(wanted)
    return numbers(spec, data, LITTLE_ENDIAN[declared], count, 0, wanted)


def numbers(
    spec: TensorSpec, data: memoryview | bytes, dtype: np.dtype[Any], count: int, start: int, shape: tuple[int, ...]
) -> Array:
    """`count` elements of `dtype` from byte `start` on, known to be there → what `from_binary` gives."""
    view = np.frombuffer(data, dtype, count, start)
    array = view.astype(spec.dtype, copy=not view.flags.aligned).reshape(shape)
    _check_values(spec, array)
    return array


def to_binary(array: Array, declared: str) -> bytes:
    """An array as a binary tensor of the given datatype: little-endian, row-major."""
    if declared != "BYTES":
        return array.astype(LITTLE_ENDIAN.get(declared, DTYPES[declared]), copy=False).tobytes()
    parts: list[bytes] = []
    for text in array.ravel().tolist():
        encoded = str(text).encode()
        parts += (len(encoded).to_bytes(4, "little"), encoded)
    return b"".join(parts)


def check(signature: Signature, inputs: Tensors, *, row_limit: int, values: bool = True) -> int:
    """Number of rows of a complete request: names, dtypes, shapes, one row count; values too unless known good.

    Raises `InvalidInput`, and `TooLarge` beyond `row_limit`. `values=False` is for arrays just made by `column` or
    `from_binary`.
    """
    if len(inputs) != len(signature.inputs):
        for name in inputs:
            if all(name != spec.name for spec in signature.inputs):
                raise InvalidInput(f"unknown input {_short(name)}", field=name[:100])
    rows = -1
    for spec in signature.inputs:
        array = inputs.get(spec.name)
        if array is None:
            raise InvalidInput(f"missing input {spec.name}", field=spec.name)
        if array.dtype != spec.dtype:
            raise InvalidInput(f"{spec.name}: {array.dtype} is not {spec.datatype}", field=spec.name)
        if fit(spec, array.shape) != array.shape:
            raise InvalidInput(f"{spec.name}: rank {array.ndim} does not fit {list(spec.shape)}", field=spec.name)
        if rows not in (-1, len(array)):
            raise InvalidInput(f"{spec.name}: {len(array)} rows where others have {rows}", field=spec.name)
        rows = len(array)
        if values:
            _check_values(spec, array)
    if rows < 1:
        raise InvalidInput("no instances: at least one row is needed", field=signature.inputs[0].name)
    if rows > row_limit:
        raise TooLarge(f"{rows} rows are more than the limit of {row_limit}", field=signature.inputs[0].name)
    return rows


def _flatten(spec: TensorSpec, values: list[Any]) -> tuple[list[Any], tuple[int, ...]]:
    """Nested lists → their elements and the shape they show; raises naming the ragged row."""
    shape = [len(values)]
    flat = values
    while flat and type(flat[0]) is list and len(shape) <= len(spec.shape):
        sizes = set(map(len, flat)) if set(map(type, flat)) == {list} else set()
        if len(sizes) != 1:
            _refuse_ragged(spec, flat, shape)
        shape.append(sizes.pop())
        flat = list(chain.from_iterable(flat))
    return flat, tuple(shape)


def _refuse_ragged(spec: TensorSpec, items: list[Any], shape: list[int]) -> NoReturn:
    width = spec.shape[len(shape)] if len(shape) < len(spec.shape) and spec.shape[len(shape)] != -1 else len(items[0])
    at = next(i for i, item in enumerate([*items, None]) if type(item) is not list or len(item) != width)
    row = min(at, len(items) - 1) // max(math.prod(shape[1:]), 1)
    got = f"{len(items[at])} values" if at < len(items) and type(items[at]) is list else "no list"
    raise InvalidInput(f"row {row} of {spec.name}: {got} instead of {width} values", field=spec.name, row=row)


def _array(spec: TensorSpec, flat: list[Any], shape: tuple[int, ...]) -> Array:
    kinds = set(map(type, flat))
    missing = _NONE in kinds
    kinds.discard(_NONE)
    if not kinds <= _KINDS[spec.dtype.kind] or (missing and not _may_miss(spec)):
        _refuse_kind(spec, flat, shape)
    if spec.dtype.kind == "O":
        return _texts(spec, flat, shape)
    try:
        array: Array = np.array(flat, dtype=np.float64 if spec.dtype.kind == "f" else spec.dtype)
    except OverflowError:
        _refuse_range(spec, flat, shape)
    if spec.dtype.kind == "f":
        array = _narrowed(spec, array, flat, shape)
    return array.reshape(shape)


def _narrowed(spec: TensorSpec, array: Array, flat: list[Any], shape: tuple[int, ...]) -> Array:
    """float64 → the spec's own width, refusing what overflows there; None has become NaN."""
    if array.dtype != spec.dtype:
        with np.errstate(over="ignore"):
            array = array.astype(spec.dtype)
    if not np.isfinite(array).all() and (np.isinf(array).any() or int(np.isnan(array).sum()) != flat.count(None)):
        _refuse_range(spec, flat, shape)
    return array


def _texts(spec: TensorSpec, flat: list[Any], shape: tuple[int, ...]) -> Array:
    array = np.empty(len(flat), dtype=object)
    array[:] = flat
    return array.reshape(shape)


def _may_miss(spec: TensorSpec) -> bool:
    return spec.nullable and spec.dtype.kind in "fO"


def _split(spec: TensorSpec, data: memoryview, count: int) -> list[str]:
    """Length-prefixed elements; each costs at least four bytes, so `count` is bounded by what was really sent."""
    if count * 4 > len(data):
        raise InvalidInput(f"{spec.name}: {len(data)} bytes cannot hold {count} elements of BYTES", field=spec.name)
    texts: list[str] = []
    at, end = 0, len(data)
    for index in range(count):
        size = int.from_bytes(data[at : at + 4], "little")
        if at + 4 > end or at + 4 + size > end:
            raise InvalidInput(f"{spec.name}: element {index} goes beyond the data", field=spec.name)
        try:
            text = str(data[at + 4 : at + 4 + size], "utf-8")
        except UnicodeDecodeError:
            raise InvalidInput(f"{spec.name}: element {index} is not UTF-8", field=spec.name) from None
        if "\x00" in text:
            raise InvalidInput(f"{spec.name}: element {index} holds the character NUL", field=spec.name)
        texts.append(text)
        at += 4 + size
    if at != end:
        raise InvalidInput(f"{spec.name}: {end - at} bytes after the last element", field=spec.name)
    return texts


def _check_values(spec: TensorSpec, array: Array) -> None:
    """Floats are finite, NaN only where nullable; text is str, None only where nullable."""
    kind = spec.dtype.kind
    if kind == "f" and not floats.is_finite(array):
        bad = np.isinf(array) if spec.nullable else ~np.isfinite(array)
        if bad.any():
            at = int(np.argmax(bad))
            word = "missing, and may not be" if np.isnan(array.ravel()[at]) else "infinite"
            _refuse(spec, at, array.shape, f"is {word}")
    elif kind == "O":
        flat = array.ravel().tolist()
        kinds = set(map(type, flat))
        if not kinds <= {str, _NONE} or (_NONE in kinds and not spec.nullable):
            _refuse_kind(spec, flat, array.shape)


def _refuse_kind(spec: TensorSpec, flat: list[Any], shape: tuple[int, ...]) -> None:
    kind = spec.dtype.kind
    for at, value in enumerate(flat):
        if value is None:
            if not spec.nullable:
                _refuse(spec, at, shape, "is missing, and may not be")
            if not _may_miss(spec):
                _refuse(spec, at, shape, f"is missing, which {spec.datatype} cannot hold")
        elif type(value) not in _KINDS[kind]:
            _refuse(spec, at, shape, f"must be {_WORDS[kind]}, not {_short(value)}")


def _refuse_range(spec: TensorSpec, flat: list[Any], shape: tuple[int, ...]) -> NoReturn:
    if spec.dtype.kind == "f":
        low, high = float(np.finfo(spec.dtype).min), float(np.finfo(spec.dtype).max)
    else:
        low, high = int(np.iinfo(spec.dtype).min), int(np.iinfo(spec.dtype).max)
    at = next((i for i, value in enumerate(flat) if value is not None and not low <= value <= high), len(flat) - 1)
    _refuse(spec, at, shape, f"is out of range for {spec.datatype}: {_short(flat[at])}")


def _refuse(spec: TensorSpec, at: int, shape: tuple[int, ...], what: str) -> NoReturn:
    """Raise `InvalidInput` for the element at a flat position, naming its row and its column."""
    width = max(math.prod(shape[1:]), 1)
    row, offset = divmod(at, width)
    if spec.columns and len(shape) == 2 and offset < len(spec.columns):
        field = spec.columns[offset]
    else:
        field = spec.name if width == 1 else f"{spec.name}[{offset}]"
    raise InvalidInput(f"row {row}, {field}: {what}", field=field, row=row)


def _short(value: Any) -> str:
    """A value as it may stand in a message: never longer than a line."""
    if type(value) is int and abs(value) >= 10**40:
        return "a number of more than 40 digits"
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    text = repr(value[:40] if isinstance(value, str) else value)
    return {"True": "true", "False": "false", "None": "null"}.get(text, text)
