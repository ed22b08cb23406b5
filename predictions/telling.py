"""What the logs and traces are told of predictions: that they ran or failed, by which version, under which ids.

Never why in the error's own words, which may quote the input: the record has them, for those who may read it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from uuid import UUID

from models_registry.routing import Version
from monitoring import tracing
from monitoring.logs import context
from predictions.queued.ledger import Claimed, Settled

logger = logging.getLogger(__name__)

#: What a caller did wrong is no fault of the version's.
_CALLERS = frozenset(["invalid_input", "too_large"])


def failed(version: Version, code: str, *, prediction_id: UUID, trace_id: str = "") -> None:
    """One prediction ended with this code."""
    logger.log(
        logging.INFO if code in _CALLERS else logging.WARNING,
        "prediction by %s version %s failed: %s",
        version.model,
        version.number,
        code,
        extra={
            "action": "prediction_failed",
            "code": code,
            **_of(version),
            "prediction_id": str(prediction_id),
            "trace_id": trace_id,
        },
    )


def ran(version: Version, rows: Sequence[Claimed], endings: Sequence[Settled], *, began: float) -> None:
    """A worker ran these rows as one batch, from `began` (seconds since the epoch) until now."""
    ended = time.time()
    traceparents = {row.id: row.traceparent for row in rows}
    single = rows[0] if len(rows) == 1 else None
    logger.info(
        "ran a batch of %d by %s version %s",
        len(rows),
        version.model,
        version.number,
        extra={
            "action": "batch_ran",
            "count": len(rows),
            "duration_ms": (ended - began) * 1000,
            **_of(version),
            "prediction_id": str(single.id) if single else "",
            "trace_id": _trace_id(single.traceparent) if single else "",
        },
    )
    for ending in endings:
        traceparent = traceparents.get(ending.id, "")
        if ending.error_code:
            failed(version, ending.error_code, prediction_id=ending.id, trace_id=_trace_id(traceparent))
        if tracing.is_on() and traceparent:
            facts = {"prediction.id": str(ending.id), "batch.size": len(rows), **_of(version)}
            tracing.done("predict", traceparent, began=began, ended=ended, facts=facts, error=ending.error_code)


def _of(version: Version) -> Mapping[str, str]:
    return {"project": version.project, "model": version.model, "version": str(version.number)}


def _trace_id(traceparent: str) -> str:
    trace = context.parse_trace(traceparent)
    return trace.trace_id if trace is not None else ""
