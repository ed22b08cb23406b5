"""Binary requests whose JSON has been read before: a client sends the same head with other tensors behind it.

What the general way made of a head is remembered, so only the tensors' bytes are looked at. Whatever is not exactly as
it was then is left to `oip`, which reads it or says what is wrong with it; so both accept and give the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from models_registry.errors import InvalidInput
from models_registry.routing import Version
from models_registry.runtime import tensors
from models_registry.runtime.signature import TensorSpec
from predictions.protocols.inference import InferenceRequest
from predictions.protocols.oip_forms import Wanted

#: Heads are remembered up to this size, in bytes, and so many of them.
LONGEST, MOST = 2048, 1024


class _Part(msgspec.Struct, frozen=True):
    """One tensor: `count` elements of the type it was declared with, from byte `start` of the tail on."""

    spec: TensorSpec
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    count: int
    start: int


class Head(msgspec.Struct, frozen=True):
    """What a head asks of a version: tensors that fill a tail of `size` bytes, and what a request has beside them."""

    version: Version
    parts: tuple[_Part, ...]
    size: int
    rows: int
    request_id: str
    names: tuple[str, ...]
    wanted: tuple[Wanted, ...]
    timeout_s: float | None
    #: All outputs are wanted as bytes, and none of them is text.
    is_binary: bool

    def request(self, body: bytes, at: int) -> InferenceRequest | None:
        """The request whose tail begins at byte `at` of the body; None when a tensor holds what it may not."""
        inputs = {}
        for part in self.parts:
            try:
                array = tensors.numbers(part.spec, body, part.dtype, part.count, at + part.start, part.shape)
            except InvalidInput:
                return None
            inputs[part.spec.name] = array
        return InferenceRequest(inputs, self.rows, self.names, self.request_id)


#: By the version's id as an object, which lives as long as what is remembered with it.
_heads: dict[tuple[int, bytes], Head] = {}


def find(version: Version, head: bytes, size: int) -> Head | None:
    """What was remembered of these bytes; None when they are new, or the tail behind them has not `size` bytes."""
    found = _heads.get((id(version), head))
    return found if found is not None and found.size == size else None


def remember(
    version: Version,
    head: bytes,
    sent: Sequence[Mapping[str, Any]],
    request: InferenceRequest,
    wanted: tuple[Wanted, ...],
    timeout_s: float | None,
) -> None:
    """Keep what the general way has made of a head, where each input is one tensor of numbers."""
    parts = _parts(version, sent, request)
    if len(head) > LONGEST or not parts:
        return
    if len(_heads) >= MOST:
        _heads.clear()
    outputs = version.signature.outputs
    is_binary = wanted == tuple(Wanted(spec.name, binary=True) for spec in outputs)
    _heads[id(version), head] = Head(
        version,
        parts,
        sum(part.count * part.dtype.itemsize for part in parts),
        request.rows,
        request.request_id,
        request.outputs,
        wanted,
        timeout_s,
        is_binary and all(spec.datatype != "BYTES" for spec in outputs),
    )


def _parts(version: Version, sent: Sequence[Mapping[str, Any]], request: InferenceRequest) -> tuple[_Part, ...]:
    """Empty when one of them is no tensor of numbers in bytes, or none of the signature's own."""
    specs = {spec.name: spec for spec in version.signature.inputs}
    parts: list[_Part] = []
    start = 0
    for item in sent:
        spec, dtype = specs.get(item["name"]), tensors.LITTLE_ENDIAN.get(item["datatype"])
        size = (item.get("parameters") or {}).get("binary_data_size")
        if spec is None or dtype is None or size is None:
            return ()
        parts.append(_Part(spec, dtype, request.inputs[spec.name].shape, size // dtype.itemsize, start))
        start += size
    return tuple(parts)
