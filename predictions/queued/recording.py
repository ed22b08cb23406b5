"""A finished row → its record. Pure: the same row gives the same record, whoever ended it and whenever it is made."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson

from models_registry import errors
from models_registry.response_cache import Outcome
from models_registry.runtime.signature import Signature, Tensors
from monitoring import keeping
from monitoring.privacy import Guard
from monitoring.records import Record, Value
from predictions.models import Prediction
from predictions.protocols import instances, values
from predictions.queued.sweeps import Ended


def record_of(row: Prediction | Ended, signature: Signature | None, guard: Guard | None = None) -> Record:
    """The record of an ended row; `signature` names the searchable values and is None when the version is gone.

    `guard` protects what the model's privacy names.
    """
    if row.completed_at is None:  # the table's check constraint does not let an ended row be without
        raise ValueError(f"prediction {row.id} has not ended")
    inputs = bytes(row.input)
    outputs = bytes(row.output) if row.output is not None else None
    found = _searchable(signature, inputs, outputs)
    error = row.error
    if guard is not None:
        inputs, outputs = guard.asked(inputs), guard.answered(outputs, signature.classes if signature else ())
        found, error = guard.values(found), guard.error(error)
    total_ms = (row.completed_at - row.accepted_at).total_seconds() * 1000
    ran = row.started_at or row.completed_at
    return Record(
        id=row.id,
        project=row.project,
        model=row.model,
        version=row.version,
        version_id=row.version_id,
        digest=row.digest,
        route=row.route,
        door="queued",
        protocol=row.protocol,
        status=row.status,
        accepted_at=row.accepted_at,
        completed_at=row.completed_at,
        key=row.key,
        request_id=row.request_id,
        subject=row.subject,
        trace_id=row.traceparent[3:35],
        error_code=row.error_code,
        error=error,
        rows=row.rows,
        queue_ms=max(0.0, (ran - row.accepted_at).total_seconds() * 1000),
        inference_ms=row.inference_ms,
        total_ms=max(0.0, total_ms),
        cached=row.cache in (Outcome.HIT, Outcome.COLLAPSED),
        inputs=keeping.keep_json(inputs),
        outputs=keeping.keep_json(outputs) if outputs is not None else None,
        values=found,
    )


def _searchable(signature: Signature | None, inputs: bytes, outputs: bytes | None) -> tuple[Value, ...]:
    """Values of the first instance by name; an output is read as it stands in the row."""
    if signature is None:
        return ()
    first = _first_numbers(signature, inputs)
    if first is None:
        try:
            asked = orjson.loads(inputs)["instances"][:1]
            first = instances.decode({"instances": asked}, signature, row_limit=1).inputs
        except (errors.DomainError, KeyError, TypeError):
            return ()
    answered = None
    if outputs is not None:
        answer = orjson.loads(outputs)
        answered = {
            spec.name: _array(answer[spec.name][:1], spec.datatype) for spec in signature.outputs if spec.name in answer
        }
    return values.searchable(signature, first, answered)


def _first_numbers(signature: Signature, inputs: bytes) -> Tensors | None:
    """The first row where it needs no decoding: a list of plain numbers for one FP64 input. None for any other."""
    spec = signature.inputs[0]
    if len(signature.inputs) > 1 or spec.datatype != "FP64" or not spec.columns:
        return None
    row = orjson.loads(inputs)["instances"][0]
    if type(row) is not list or len(row) != len(spec.columns) or not _NUMBERS.issuperset(map(type, row)):
        return None
    return {spec.name: np.array([row], dtype=np.float64)}


_NUMBERS = frozenset((int, float))


def _array(first: list[Any], datatype: str) -> Any:
    return np.array(first, dtype=object if datatype == "BYTES" else None)
