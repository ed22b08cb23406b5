"""A request that fits a signature: for the pages that show how to ask. Pure."""

from __future__ import annotations

from typing import Any

from models_registry.runtime.signature import Signature, TensorSpec

#: Longest free axis an example spells out.
_MOST = 64


def value(spec: TensorSpec) -> Any:
    """One element that the tensor takes."""
    if spec.datatype == "BYTES":
        return "a"
    if spec.datatype == "BOOL":
        return True
    return 1.0 if spec.datatype.startswith("FP") else 1


def row(spec: TensorSpec) -> list[Any]:
    """The elements of one row, flat."""
    width = 1
    for length in spec.shape[1:]:
        width *= max(1, length)
    return [value(spec)] * min(width, _MOST)


def infer_body(signature: Signature) -> dict[str, Any]:
    """The body of `POST /v2/models/{model}/infer` for one row."""
    return {
        "inputs": [
            {
                "name": spec.name,
                "shape": [1, *(max(1, length) for length in spec.shape[1:])],
                "datatype": spec.datatype,
                "data": row(spec),
            }
            for spec in signature.inputs
        ]
    }
