"""What follows the end of a prediction: hurries only, each may fail; the row has the answer already."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from uuid import UUID

from predictions.models import Prediction
from predictions.queued import results, waiting

logger = logging.getLogger(__name__)

_wakers: list[Callable[[], None]] = []


def tell(ids: Sequence[UUID]) -> None:
    """These predictions have ended: keep them hot, wake who waits, and let the recorder know."""
    try:
        results.keep_hot(Prediction.objects.filter(id__in=list(ids)))
    except Exception:
        logger.warning("hot results were not kept", extra={"action": "hot_results_lost"}, exc_info=True)
    waiting.WAKE_UPS.send(ids)
    for wake in _wakers:
        wake()


def on_ended(wake: Callable[[], None]) -> None:
    """Let `wake` be called whenever predictions have ended in this process."""
    if wake not in _wakers:
        _wakers.append(wake)
