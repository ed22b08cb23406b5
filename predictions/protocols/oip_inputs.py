"""Input tensors of the Open Inference Protocol: as sent, then as a version's signature wants them.

A version with one tensor also takes its columns by name, and one with named number columns also takes one float
tensor `[rows, columns]`, columns in the signature's order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from models_registry.errors import InvalidInput
from models_registry.runtime import tensors
from models_registry.runtime.signature import DTYPES, Signature, Tensors, TensorSpec

#: Types that JSON cannot carry exactly enough to be worth it.
_BINARY_ONLY = frozenset(["FP16", "BF16"])


class Sent(msgspec.Struct, frozen=True):
    """One tensor as it was sent: JSON values in `data`, or bytes in `binary`."""

    name: str
    datatype: Any
    shape: list[Any]
    data: Any = None
    binary: memoryview | None = None

    def read(self, spec: TensorSpec) -> tensors.Array:
        """As a checked array of the spec; raises `InvalidInput`."""
        if self.binary is not None:
            return tensors.from_binary(spec, self.datatype, shape=self.shape, data=self.binary)
        tensors.datatype(spec, self.datatype)
        if self.datatype in _BINARY_ONLY:
            raise InvalidInput(f"{self.name}: send {self.datatype} in the binary data format", field=self.name)
        return tensors.column(spec, self.data, shape=self.shape)


def read(
    inputs: Sequence[Mapping[str, Any]],
    tail: memoryview,
    parameters_of: Callable[[Mapping[str, Any], str], Mapping[str, Any]],
) -> list[Sent]:
    """The tensors of a request, binary ones cut from the tail in their order; the tail must be used up."""
    found: list[Sent] = []
    names: set[str] = set()
    at = 0
    for item in inputs:
        name, shape = item.get("name"), item.get("shape")
        if not isinstance(name, str) or name in names:
            raise InvalidInput("every input needs a name of its own", field="inputs")
        names.add(name)
        if not isinstance(shape, list):
            raise InvalidInput(f"{name[:100]}: shape must be a list of sizes", field=name[:100])
        parameters = parameters_of(item, f"{name[:100]}.parameters")
        refuse_shared_memory(parameters, name)
        size = parameters.get("binary_data_size")
        if size is None:
            found.append(Sent(name, item.get("datatype"), shape, data=item.get("data")))
            continue
        if type(size) is not int or not 0 <= size <= len(tail) - at:
            raise InvalidInput(
                f"{name[:100]}: binary_data_size is not a size within the {len(tail) - at} bytes left",
                field=name[:100],
            )
        if item.get("data") is not None:
            raise InvalidInput(f"{name[:100]}: both data and binary_data_size", field=name[:100])
        found.append(Sent(name, item.get("datatype"), shape, binary=tail[at : at + size]))
        at += size
    if at != len(tail):
        raise InvalidInput(f"{len(tail) - at} bytes after the last binary tensor")
    return found


def refuse_shared_memory(parameters: Mapping[str, Any], name: str) -> None:
    """Shared memory would let a request name memory of this machine: it is not offered."""
    if any(key.startswith("shared_memory") for key in parameters):
        raise InvalidInput(f"{name[:100]}: shared memory is not offered here", field=name[:100])


def fit(sent: Sequence[Sent], signature: Signature) -> Tensors:
    """Tensors by the signature's names; completeness is checked by `tensors.check`."""
    specs = {spec.name: spec for spec in signature.inputs}
    only = sent[0] if len(sent) == 1 else None
    if only is not None and only.name not in specs and _takes_matrix(signature):
        return _from_matrix(only, signature)
    first = signature.inputs[0]
    if len(specs) == 1 and first.columns and first.name != sent[0].name:
        return _from_columns(sent, first)
    found = {}
    for tensor in sent:
        spec = specs.get(tensor.name)
        if spec is None:
            known = ", ".join(list(specs)[:20])
            raise InvalidInput(f"unknown input {tensor.name[:100]!r}: there are {known}", field=tensor.name[:100])
        found[tensor.name] = tensor.read(spec)
    return found


def _takes_matrix(signature: Signature) -> bool:
    return (
        len(signature.inputs) > 1 and signature.by_column and all(spec.dtype.kind in "fiu" for spec in signature.inputs)
    )


def _from_matrix(tensor: Sent, signature: Signature) -> Tensors:
    """One float tensor, a column for each named input."""
    names = tuple(spec.name for spec in signature.inputs)
    datatype = tensor.datatype if tensor.datatype in ("FP32", "FP64") else "FP64"
    nullable = any(spec.nullable for spec in signature.inputs)
    whole = TensorSpec(tensor.name, datatype, (-1, len(names)), nullable=nullable, columns=names)
    array = tensor.read(whole)
    return {spec.name: _narrowed(spec, array[:, at : at + 1]) for at, spec in enumerate(signature.inputs)}


def _narrowed(spec: TensorSpec, values: tensors.Array) -> tensors.Array:
    """One column of a float tensor as its own type: whole numbers where it wants them, NaN only where it may miss."""
    missing = np.isnan(values)
    if missing.any() and not (spec.nullable and spec.dtype.kind == "f"):
        row = int(np.argmax(missing))
        raise InvalidInput(f"Row {row}, {spec.name}: is missing, and may not be", field=spec.name, row=row)
    with np.errstate(over="ignore", invalid="ignore"):
        column = values.astype(spec.dtype)
        wrong = (column != values) if spec.dtype.kind in "iu" else (np.isinf(column) & ~missing)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InvalidInput(f"Row {row}, {spec.name}: does not fit {spec.datatype}", field=spec.name, row=row)
    return np.ascontiguousarray(column)


def _from_columns(sent: Sequence[Sent], spec: TensorSpec) -> Tensors:
    """The one tensor of a version from its columns, sent by name."""
    by_name = {tensor.name: tensor for tensor in sent}
    for name in by_name:
        if name not in spec.columns:
            raise InvalidInput(f"unknown input {name[:100]!r}: there is {spec.name}", field=name[:100])
    columns = []
    for name in spec.columns:
        if name not in by_name:
            raise InvalidInput(f"missing input {name}", field=name)
        columns.append(by_name[name].read(TensorSpec(name, spec.datatype, (-1, 1), nullable=spec.nullable)))
        if len(columns[-1]) != len(columns[0]):
            raise InvalidInput(f"{name}: {len(columns[-1])} rows where others have {len(columns[0])}", field=name)
    return {spec.name: np.concatenate(columns, axis=1)}


def from_raw(body: memoryview, signature: Signature) -> Tensors:
    """A raw body: nothing but the single input tensor, its number of rows told by its length."""
    if len(signature.inputs) != 1:
        raise InvalidInput(f"a raw body fits one input tensor, and this model has {len(signature.inputs)}")
    spec = signature.inputs[0]
    free = [axis for axis, size in enumerate(spec.shape) if size == -1]
    if free != [0]:
        raise InvalidInput(f"{spec.name}: a raw body does not tell the sizes of {list(spec.shape)}", field=spec.name)
    width = math.prod(spec.shape[1:])
    count = _elements(body) if spec.datatype == "BYTES" else len(body) // DTYPES[spec.datatype].itemsize
    if width == 0 or count % width:
        raise InvalidInput(f"{spec.name}: {count} elements do not fill rows of {width}", field=spec.name)
    shape = [count // width, *spec.shape[1:]]
    return {spec.name: tensors.from_binary(spec, spec.datatype, shape=shape, data=body)}


def _elements(body: memoryview) -> int:
    """How many length-prefixed texts a BYTES tensor holds; each takes at least four bytes."""
    count = at = 0
    while at + 4 <= len(body):
        at += 4 + int.from_bytes(body[at : at + 4], "little")
        count += 1
    return count
