"""What is kept of inputs and outputs: all of it up to a size, beyond that digest, shape and first rows."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import orjson
from blake3 import blake3

from monitoring.records import PROTECTED, SpooledTensor

#: Bytes of all inputs, and of all outputs, of one record.
ONLINE_LIMIT = 16 * 2**10
QUEUED_LIMIT = 2**20
FIRST_ROWS = 10


def tensor(name: str, datatype: str, array: np.ndarray[Any, Any], columns: tuple[str, ...] = ()) -> SpooledTensor:
    """An array as the spool keeps it, uncut; BYTES arrays hold str or None."""
    return SpooledTensor(name, datatype, array.shape, data_of(datatype, array), columns=columns)


def data_of(datatype: str, array: np.ndarray[Any, Any]) -> bytes:
    """All of an array as a `SpooledTensor` holds it."""
    return _json(array.ravel().tolist()) if datatype == "BYTES" else array.tobytes()


def keep_tensors(tensors: Sequence[SpooledTensor], *, limit: int = ONLINE_LIMIT) -> tuple[SpooledTensor, ...]:
    """One side of a call within `limit` bytes: untouched, or every tensor cut to its first rows with its digest."""
    if sum([len(item.data) for item in tensors]) <= limit:
        return tuple(tensors)
    share = limit // len(tensors)
    return tuple(_cut(item, share) for item in tensors)


def cut_numbers(array: np.ndarray[Any, Any], share: int) -> tuple[bytes, str]:
    """The first rows of an array of numbers within `share` bytes, and the digest of all of it: as `keep_tensors` cuts
    one, without a copy of what is not kept."""
    kept = array[: _rows_within(share, len(array), array.nbytes)].tobytes()
    return kept, _digest(np.ascontiguousarray(array).data.cast("B"))


def _rows_within(share: int, rows: int, octets: int) -> int:
    """How many first rows of so many, which have so many bytes, are kept within `share` bytes."""
    return min(FIRST_ROWS, rows, share // max(1, octets // max(1, rows)))


def keep_json(encoded: bytes, *, limit: int = QUEUED_LIMIT) -> Any:
    """A JSON document's value when it is small enough; else its digest, size, rows and first rows.

    Rows are the items of the longest lists directly in the document (`instances`, or an output's name).
    """
    value = orjson.loads(encoded)
    if len(encoded) <= limit:
        return value
    lists = {name: item for name, item in value.items() if isinstance(item, list)} if isinstance(value, dict) else {}
    first: dict[str, Any] = {}
    for rows in (FIRST_ROWS, 1, 0):
        first = {name: item[:rows] for name, item in lists.items()}
        if len(json.dumps(first)) <= limit:
            break
    return {
        "digest": _digest(encoded),
        "bytes": len(encoded),
        "rows": max((len(item) for item in lists.values()), default=0),
        "first_rows": first,
    }


def _digest(data: bytes | memoryview) -> str:
    # No weaker than SHA-256, and a quarter of its time: with that, a large call's digest took longer than its model.
    return f"blake3:{blake3(data).hexdigest()}"


def _json(texts: list[str | None]) -> bytes:
    try:
        return orjson.dumps(texts)
    except TypeError:  # a lone surrogate, which orjson does not take
        return json.dumps(texts).encode()


def _cut(item: SpooledTensor, share: int) -> SpooledTensor:
    rows = item.shape[0] if item.shape else 1
    if item.datatype in ("BYTES", PROTECTED):
        data = _cut_text(item.data, math.prod(item.shape[1:]), rows=min(FIRST_ROWS, rows), share=share)
    else:
        octets = len(item.data)
        data = item.data[: octets // max(1, rows) * _rows_within(share, rows, octets)]
    return msgspec.structs.replace(item, data=data, digest=_digest(item.data))


def _cut_text(data: bytes, width: int, *, rows: int, share: int) -> bytes:
    elements = json.loads(data)
    for count in (rows, 1, 0):
        kept = _json(elements[: count * width])
        if len(kept) <= share:
            break
    return kept
