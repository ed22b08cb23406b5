"""What follows the end of a prediction: hurries only, each may fail; the row has the answer already."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from uuid import UUID

from models_registry.response_cache import Outcome
from monitoring import metrics
from predictions.models import Prediction
from predictions.queued import results, waiting

logger = logging.getLogger(__name__)

OUTCOMES = frozenset(Outcome)


def tell(ids: Sequence[UUID]) -> None:
    """These predictions have ended here: keep them hot, wake who waits, and count."""
    try:
        rows = list(Prediction.objects.filter(id__in=list(ids)))
        results.keep_hot(rows)
        for row in rows:
            _count(row)
    except Exception:
        logger.warning("hot results were not kept", extra={"action": "hot_results_lost"}, exc_info=True)
    waiting.WAKE_UPS.send(ids)


def _count(row: Prediction) -> None:
    metrics.count(metrics.QUEUE_ENDED, (f"predictions.{row.pool}.{row.priority}",))
    ended = row.completed_at or row.accepted_at
    if row.cache in OUTCOMES:
        metrics.count(metrics.CACHE_REQUESTS, (row.project, row.model, str(row.version), row.cache))
    metrics.observe_prediction(
        (row.project, row.model, str(row.version)),
        protocol=row.protocol,
        status=row.status,
        total_s=max(0.0, (ended - row.accepted_at).total_seconds()),
        queue_s=max(0.0, ((row.started_at or ended) - row.accepted_at).total_seconds()),
        inference_s=row.inference_ms / 1000,
        error_code=row.error_code,
    )
