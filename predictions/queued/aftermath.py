"""What follows the end of a prediction: hurries only, each may fail; the row has the answer already."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from models_registry.response_cache import Outcome
from monitoring import metrics
from predictions.models import Prediction
from predictions.protocols.replicate import Sight
from predictions.queued import results, waiting
from predictions.queued.ledger import Claimed, Settled

logger = logging.getLogger(__name__)

OUTCOMES = frozenset(Outcome)


def tell(ids: Sequence[UUID]) -> None:
    """These predictions have ended here, by whichever verb: keep them hot, wake who waits, and count."""
    hot: dict[str, Any] = {}
    try:
        for row in Prediction.objects.filter(id__in=list(ids)):
            sight = results.sight_of(row)
            hot.update(results.hot(row.project_id, sight))
            _count(sight, row.protocol, row.error_code)
    except Exception:
        logger.warning("hot results were not kept", extra={"action": "hot_results_lost"}, exc_info=True)
    waiting.WAKE_UPS.send(ids, hot)


def tell_settled(rows: Iterable[Claimed], endings: Iterable[Settled], ended: Mapping[UUID, datetime]) -> None:
    """The same for rows that were settled a moment ago: what is shown of them is known without reading it again."""
    claimed = {row.id: row for row in rows}
    hot: dict[str, Any] = {}
    try:
        for end in endings:
            if end.id in ended:
                row = claimed[end.id]
                sight = _sight_of(row, end, ended[end.id])
                hot.update(results.hot(row.project_id, sight))
                _count(sight, row.protocol, end.error_code)
    except Exception:
        logger.warning("hot results were not kept", extra={"action": "hot_results_lost"}, exc_info=True)
    waiting.WAKE_UPS.send(ended, hot)


def _sight_of(row: Claimed, end: Settled, completed_at: datetime) -> Sight:
    return Sight(
        id=row.id,
        project=row.project,
        model=row.model,
        version=row.version,
        version_id=row.version_id,
        digest=row.digest,
        pool=row.pool,
        priority=row.priority,
        status=str(end.status),
        input=row.input,
        output=end.output,
        error=end.error,
        accepted_at=row.accepted_at,
        deadline_at=row.deadline_at,
        started_at=row.started_at,
        completed_at=completed_at,
        inference_ms=end.inference_ms,
        cache=end.cache,
    )


def _count(sight: Sight, protocol: str, error_code: str) -> None:
    metrics.count(metrics.QUEUE_ENDED, (f"predictions.{sight.pool}.{sight.priority}",))
    ended = sight.completed_at or sight.accepted_at
    if sight.cache in OUTCOMES:
        metrics.count(metrics.CACHE_REQUESTS, (sight.project, sight.model, str(sight.version), sight.cache))
    metrics.observe_prediction(
        (sight.project, sight.model, str(sight.version)),
        protocol=protocol,
        status=sight.status,
        total_s=max(0.0, (ended - sight.accepted_at).total_seconds()),
        queue_s=max(0.0, ((sight.started_at or ended) - sight.accepted_at).total_seconds()),
        inference_s=sight.inference_ms / 1000,
        error_code=error_code,
    )
