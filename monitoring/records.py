"""The record: the immutable fact kept about one finished prediction, and how a spooled call becomes one.

Framework-free: the server writes `SpooledCall` frames on the online path, the keeper turns them into records.
`keeping` cuts what is too large to keep, `documents` is a record's JSON form.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import numpy as np
import orjson

from monitoring import ids

#: Statuses a record can have; the same words as on the wire and in the ledger.
TERMINAL = ("succeeded", "failed", "canceled", "aborted")

#: At most so many values of the first instance are searchable by name, per record.
MAX_VALUES = 64
#: Outputs keep at least so many of those places beside a wide input.
OUTPUT_SHARE = 16
MAX_NAME = 128
MAX_TEXT = 1000

#: Datatype of a tensor some of whose elements were hashed, masked or dropped: a flat JSON list of mixed values.
PROTECTED = "PROTECTED"

_DTYPES = {
    "BOOL": "?",
    **{
        f"{kind}{bits}": f"<{letter}{bits // 8}"
        for kind, letter in (("INT", "i"), ("UINT", "u"))
        for bits in (8, 16, 32, 64)
    },
    **{f"FP{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)},
}
#: Little tensors are read through a view of their bytes, where this machine has their order: eight times as fast as
#: by way of an array.
_VIEWS: dict[str, tuple[Any, int]] = {
    name: (np.dtype(kind).char, np.dtype(kind).itemsize) for name, kind in _DTYPES.items() if name != "FP16"
}
_MOST_VIEWED = 1024 if sys.byteorder == "little" else 0


class Value(msgspec.Struct, frozen=True):
    """One searchable value of the first instance: `side` is "input" or "output"."""

    side: str
    name: str
    number: float | None = None
    text: str | None = None


class Record(msgspec.Struct, frozen=True):
    """One document in the record store. Durations are milliseconds; `inputs`/`outputs` are JSON values.

    `door` is "online" or "queued"; `route` says why this version answered ("alias champion", "version 3");
    `rows` is the number of instances; `error` is empty on success; `subject` is a keyed hash of whom it is about.
    """

    id: UUID
    project: str
    model: str
    version: int
    version_id: UUID
    digest: str
    route: str
    door: str
    protocol: str
    status: str
    accepted_at: datetime
    completed_at: datetime
    key: str = ""
    request_id: str = ""
    subject: str = ""
    error_code: str = ""
    error: str = ""
    rows: int = 0
    queue_ms: float = 0.0
    inference_ms: float = 0.0
    total_ms: float = 0.0
    cached: bool = False
    trace_id: str = ""
    inputs: Any = None
    outputs: Any = None
    values: tuple[Value, ...] = ()


class SpooledTensor(msgspec.Struct, frozen=True, array_like=True):
    """A tensor as the online path leaves it: raw little-endian bytes, or a flat JSON list for BYTES.

    When it was too large to keep, `data` holds the first rows only and `digest` ("blake3:" and 64 hexadecimal digits)
    is that of all of it, while `shape` stays the true one. `columns` are the names under which the elements of the
    first row are searchable (features; "probabilities.setosa"), as many as a row has elements, or none.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: bytes
    digest: str = ""
    columns: tuple[str, ...] = ()


class SpooledCall(msgspec.Struct, frozen=True, array_like=True):
    """One online call as it stands in the spool: everything its record needs, in the order written.

    Times are seconds since the epoch (accepted_at) and seconds (queue_s, inference_s, total_s).
    """

    id: bytes
    project: str
    model: str
    version: int
    version_id: bytes
    digest: str
    route: str
    protocol: str
    status: str
    accepted_at: float
    total_s: float
    queue_s: float = 0.0
    inference_s: float = 0.0
    rows: int = 0
    key: str = ""
    request_id: str = ""
    error_code: str = ""
    error: str = ""
    cached: bool = False
    inputs: tuple[SpooledTensor, ...] = ()
    outputs: tuple[SpooledTensor, ...] = ()
    subject: str = ""
    trace_id: str = ""


#: Tensors beside their nested lists.
_WithRows = Sequence[tuple[SpooledTensor, Any]]

_encoder = msgspec.msgpack.Encoder()
#: An array of as many elements as a call has fields, and its first: 16 bytes of id.
_BEGUN = b"\xdc" + len(SpooledCall.__struct_fields__).to_bytes(2, "big") + b"\xc4\x10"
_decoder = msgspec.msgpack.Decoder(SpooledCall)


def encode_call(call: SpooledCall) -> bytes:
    """The payload of one spool frame (MessagePack)."""
    return _encoder.encode(call)


class KnownFields(NamedTuple):
    """What calls of one version share, in the order of `SpooledCall`, between their id and `accepted_at`."""

    project: str
    model: str
    version: int
    version_id: bytes
    digest: str
    route: str
    protocol: str
    status: str

    def encoded(self) -> bytes:
        return _encoder.encode(self)[1:]


#: Bytes as they stand in a frame.
encode: Callable[[bytes], bytes] = _encoder.encode


def octets_begun(count: int) -> bytes:
    """What so many bytes follow."""
    return _encoder.encode(bytes(count))[:-count] if count else _encoder.encode(b"")


#: A tensor has as many elements as `SpooledTensor` has fields; name, datatype and shape are the first.
_TENSOR = bytes([0x90 + len(SpooledTensor.__struct_fields__)])


def tensors_begun(count: int) -> bytes:
    """What `count` tensors follow."""
    return _encoder.encode([None] * count)[:-count] if count else _encoder.encode([])


def tensor_head(name: str, datatype: str, shape: tuple[int, ...]) -> bytes:
    """A `SpooledTensor` up to its data."""
    return _TENSOR + _encoder.encode(name) + _encoder.encode(datatype) + _encoder.encode(shape)


def tensor_tail(columns: tuple[str, ...], digest: str = "") -> bytes:
    """The same from behind its data on; the digest is that of a cut one."""
    return _encoder.encode(digest) + _encoder.encode(columns)


def encode_known(identifier: bytes, known: bytes, own: tuple[Any, ...]) -> bytes:
    """The same payload as `encode_call` gives, in half the time: `known` was encoded once, `own` are the fields from
    `accepted_at` on."""
    return b"".join((_BEGUN, identifier, known, _encoder.encode(own)[1:]))


def decode_call(payload: bytes) -> SpooledCall:
    """Raises `msgspec.MsgspecError` when the payload is none of ours."""
    return _decoder.decode(payload)


def from_spooled(call: SpooledCall) -> Record:
    """The record of one online call. Raises `ValueError` when a tensor's bytes do not fit its own description."""
    accepted_at = datetime.fromtimestamp(call.accepted_at, UTC)
    inputs = [(tensor, _rows(tensor)) for tensor in call.inputs]
    outputs = [(tensor, _rows(tensor)) for tensor in call.outputs]
    return Record(
        id=ids.of_bytes(call.id),
        project=call.project,
        model=call.model,
        version=call.version,
        version_id=_version_id(call.version_id),
        digest=call.digest,
        route=call.route,
        door="online",
        protocol=call.protocol,
        status=call.status,
        accepted_at=accepted_at,
        completed_at=accepted_at + timedelta(seconds=call.total_s),
        key=call.key,
        request_id=call.request_id,
        subject=call.subject,
        error_code=call.error_code,
        error=call.error,
        rows=call.rows,
        queue_ms=round(call.queue_s * 1000, 3),
        inference_ms=round(call.inference_s * 1000, 3),
        total_ms=round(call.total_s * 1000, 3),
        cached=call.cached,
        trace_id=call.trace_id,
        inputs={tensor.name: _shown(tensor, rows) for tensor, rows in inputs} or None,
        outputs={tensor.name: _shown(tensor, rows) for tensor, rows in outputs} or None,
        values=_searchable(inputs, outputs),
    )


#: Calls of the same versions come again and again.
_version_id = lru_cache(maxsize=256)(ids.of_bytes)


def rows_of(tensor: SpooledTensor) -> Any:
    """What was kept of a tensor as nested lists."""
    return _rows(tensor)


def tensor_json(tensor: SpooledTensor) -> Any:
    """Nested lists, NaN and infinities as null; of a cut tensor its digest, true shape and first rows."""
    return _shown(tensor, _rows(tensor))


def _shown(tensor: SpooledTensor, rows: Any) -> Any:
    if not tensor.digest:
        return rows
    return {
        "digest": tensor.digest,
        "datatype": tensor.datatype,
        "shape": list(tensor.shape),
        "first_rows": rows,
    }


def _searchable(inputs: _WithRows, outputs: _WithRows) -> tuple[Value, ...]:
    """At most 64 values of the first instance; missing ones are left out, wide inputs give way to 16 outputs."""
    asked = [value for tensor, rows in inputs for value in _first_row("input", tensor, rows)]
    answered = [value for tensor, rows in outputs for value in _first_row("output", tensor, rows)]
    answered = answered[: max(OUTPUT_SHARE, MAX_VALUES - len(asked))]
    return (*asked[: MAX_VALUES - len(answered)], *answered)


def _first_row(side: str, tensor: SpooledTensor, rows: Any) -> Iterator[Value]:
    if not rows:
        return
    if len(tensor.shape) == 2:
        elements = rows[0][:MAX_VALUES]
    else:
        elements = [rows[0]]
        for _ in tensor.shape[2:]:
            elements = [item for element in elements for item in element]
        elements = list(elements)[:MAX_VALUES]
    names = tensor.columns or ((tensor.name,) if len(elements) == 1 else ())
    for index, element in enumerate(elements):
        name = names[index] if index < len(names) else f"{tensor.name}.{index}"
        if isinstance(element, str):
            yield Value(side, name[:MAX_NAME], text=element[:MAX_TEXT])
        elif element is not None and math.isfinite(element):
            yield Value(side, name[:MAX_NAME], number=float(element))


def _texts(data: bytes) -> list[Any]:
    try:
        texts: list[Any] = orjson.loads(data)
    except orjson.JSONDecodeError:  # a lone surrogate, which orjson does not take
        texts = json.loads(data)
    return texts


def _little_rows(tensor: SpooledTensor) -> list[Any] | None:
    """A little table of finite numbers as nested lists; None for any other tensor."""
    char, octets = _VIEWS.get(tensor.datatype, ("", 0))
    if tensor.digest or len(tensor.shape) != 2 or not 0 < len(tensor.data) <= _MOST_VIEWED:
        return None
    rows, width = tensor.shape
    if len(tensor.data) != rows * width * octets:
        return None
    flat = memoryview(tensor.data).cast(char).tolist()
    if not math.isfinite(sum(flat)):  # or too large together: the other way looks at each
        return None
    return [flat] if rows == 1 else [flat[at : at + width] for at in range(0, len(flat), width)]


def _rows(tensor: SpooledTensor) -> Any:
    """What was kept of a tensor as nested lists; the first axis is as long as the rows that were kept."""
    if (little := _little_rows(tensor)) is not None:
        return little
    if tensor.datatype in ("BYTES", PROTECTED):
        flat = np.array(_texts(tensor.data), dtype=object)
    else:
        flat = np.frombuffer(tensor.data, dtype=_DTYPES[tensor.datatype])
    shape = (-1, *tensor.shape[1:]) if tensor.digest and tensor.shape else tensor.shape
    if flat.dtype.kind == "f" and not (finite := np.isfinite(flat)).all():
        flat = flat.astype(object)
        flat[~finite] = None
    return flat.reshape(shape).tolist()
