"""What a version takes and gives: names, datatypes and shapes, in the words of the Open Inference Protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np

#: OIP datatype → numpy type of its elements (BYTES is text: an object array of str, None where missing).
DTYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BYTES": np.dtype(object),
}

Label = str | int | float | bool
Tensors = Mapping[str, "np.ndarray[Any, Any]"]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One named tensor. `shape` has -1 where the length is free; its first axis is always the rows.

    `columns` names the features along the last axis, where the model knows them; `nullable` allows a
    missing value (null in JSON, NaN in a binary float tensor).
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    nullable: bool = False
    columns: tuple[str, ...] = ()

    @property
    def dtype(self) -> np.dtype[Any]:
        return DTYPES[self.datatype]


@dataclass(frozen=True, slots=True)
class Signature:
    """Inputs and outputs of one version. `classes` are a classifier's labels in the order of its probabilities.

    Either one input tensor `[-1, n]` (or of any rank), or one input per named column, each `[-1, 1]`.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    classes: tuple[Label, ...] = ()

    @property
    def by_column(self) -> bool:
        """True when each input is one named column of shape [-1, 1]."""
        return all(spec.shape == (-1, 1) for spec in self.inputs)

    @property
    def fields(self) -> set[str]:
        """Every name a privacy may have: `input.<tensor or column>`, `output.<tensor>`, `output.<tensor>.<class>`."""
        inputs = {f"input.{name}" for spec in self.inputs for name in (spec.name, *spec.columns)}
        outputs = {f"output.{spec.name}" for spec in self.outputs}
        return inputs | outputs | {f"{name}.{label}" for name in outputs for label in self.classes}

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Signature:
        return cls(
            inputs=tuple(_spec(item) for item in data["inputs"]),
            outputs=tuple(_spec(item) for item in data["outputs"]),
            classes=tuple(data.get("classes", ())),
        )


def _spec(item: Mapping[str, Any]) -> TensorSpec:
    return _shared(
        name=item["name"],
        datatype=item["datatype"],
        shape=tuple(item["shape"]),
        nullable=item.get("nullable", False),
        columns=tuple(item.get("columns", ())),
    )


#: Versions that take or give the same share what says so: calls of the one find it where calls of another left it.
_shared = lru_cache(10_000, typed=True)(TensorSpec)
