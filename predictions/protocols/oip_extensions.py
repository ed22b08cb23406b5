"""Configuration, statistics and repository of the Open Inference Protocol, in the shapes Triton's own clients read."""

from __future__ import annotations

from typing import Any

from models_registry.routing import Version
from models_registry.runtime.signature import TensorSpec

_TYPES = {"BYTES": "TYPE_STRING"}


def config(version: Version, *, row_limit: int, gathers: bool) -> dict[str, Any]:
    """A version's configuration; `dims` are those of one row, for the first axis is always the batch."""
    found: dict[str, Any] = {
        "name": version.model,
        "platform": version.platform,
        "backend": version.runtime,
        "version_policy": {"specific": {"versions": [version.number]}},
        "max_batch_size": row_limit,
        "input": [_io(spec) for spec in version.signature.inputs],
        "output": [_io(spec) for spec in version.signature.outputs],
        "model_transaction_policy": {"decoupled": False},
        "response_cache": {"enable": version.cache_ttl_s > 0},
    }
    return {**found, "dynamic_batching": {"preferred_batch_size": []}} if gathers else found


def _io(spec: TensorSpec) -> dict[str, Any]:
    datatype = _TYPES.get(spec.datatype, f"TYPE_{spec.datatype}")
    if len(spec.shape) == 1:
        return {"name": spec.name, "data_type": datatype, "dims": [1], "reshape": {"shape": []}}
    return {"name": spec.name, "data_type": datatype, "dims": list(spec.shape[1:])}


def took(count: int, seconds: float) -> dict[str, int]:
    return {"count": count, "ns": round(seconds * 1e9)}


def index_entry(name: str, version: int, reason: str) -> dict[str, str]:
    """One version of the repository's index; READY when nothing speaks against it."""
    entry = {"name": name, "version": str(version), "state": "UNAVAILABLE" if reason else "READY"}
    return {**entry, "reason": reason} if reason else entry
