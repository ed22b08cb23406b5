"""How long the queues are, and how many records are owed, counted from the ledger for the metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.db.models import Count, Min
from django.utils import timezone

from monitoring import metrics
from monitoring.metrics import Labels
from predictions.models import Prediction
from predictions.queued.horizon import HORIZON

#: Seconds between two counts; one walk over the index of rows without record.
COUNT_EVERY_S = 5.0
#: Rows without a record that are counted at most.
MOST_COUNTED = 100_000


class Backlog:
    """The last count. `queues` are shown as empty from the first one on; several keepers count the same."""

    def __init__(self, queues: Iterable[str]) -> None:
        self._queues = set(queues)
        self.depth: Mapping[Labels, float] = {}
        self.oldest_s: Mapping[Labels, float] = {}
        self.unrecorded = 0
        metrics.begin(metrics.QUEUE_ENDED, [(queue,) for queue in self._queues])
        metrics.provide(metrics.QUEUE_DEPTH, lambda: self.depth)
        metrics.provide(metrics.QUEUE_OLDEST, lambda: self.oldest_s)
        metrics.provide(metrics.UNRECORDED, lambda: {(): self.unrecorded} if self.depth else {})

    def count(self) -> None:
        waiting, running = Prediction.Status.STARTING, Prediction.Status.PROCESSING
        groups = (
            Prediction.objects.filter(recorded_at__isnull=True, status__in=[waiting, running], id__gte=HORIZON.least())
            .order_by()
            .values_list("pool", "priority", "status")
            .annotate(number=Count("id"), first=Min("accepted_at"))
        )
        now, unfinished = timezone.now(), 0
        depth: dict[str, float] = {}
        oldest: dict[str, float] = {}
        for pool, priority, status, number, first in groups:
            unfinished += number
            if status == waiting:
                queue = f"predictions.{pool}.{priority}"
                depth[queue], oldest[queue] = number, max(0.0, (now - first).total_seconds())
        # From the index alone, and only so far: beyond it a number says no more than "very many".
        owed = Prediction.objects.filter(recorded_at__isnull=True).order_by("id").values("id")[:MOST_COUNTED].count()
        self._queues |= set(depth)
        self.depth = {(queue,): depth.get(queue, 0) for queue in self._queues}
        self.oldest_s = {(queue,): oldest.get(queue, 0.0) for queue in self._queues}
        self.unrecorded = max(0, owed - unfinished)
