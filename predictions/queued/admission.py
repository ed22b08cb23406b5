"""Who is admitted: open predictions per project, per model and in all, sampled a few times a second.

A limit is soft by what one sample interval lets in from other processes; what this process accepts is counted at once.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from models_registry import errors
from models_registry.routing import Version
from models_registry.snapshot import Principal
from predictions.models import Prediction
from predictions.queued.database import dialect, fetch
from predictions.queued.horizon import HORIZON

#: Seconds between two samples.
SAMPLE_EVERY_S = 0.25
#: Most open predictions of all projects together.
OPEN_LIMIT = 100_000
#: Bounds of a computed Retry-After, seconds.
LEAST_RETRY_S, MOST_RETRY_S = 1, 60
#: Open predictions that make a backlog: only then the workers were busy all the time.
BACKLOG = 32
#: What the ledger adds to a prediction's own cost, seconds; used while no rate has been measured.
OVERHEAD_S = 0.003
#: Weight of the newest sample in the measured rate.
SMOOTHING = 0.2


@dataclass(frozen=True, slots=True)
class Sample:
    """Open predictions at one moment: in all, by project id, by (project id, model). `rate` is endings per second,
    0 while nothing has been measured."""

    open: int = 0
    by_project: Mapping[int, int] = field(default_factory=dict)
    by_model: Mapping[tuple[int, str], int] = field(default_factory=dict)
    rate: float = 0.0


#: Every process asks it four times a second; Django takes longer to make the statement than SQLite to answer it.
_OPEN = f"""
    SELECT project_id, model, count(*) FROM {Prediction._meta.db_table}
    WHERE recorded_at IS NULL AND status IN ('starting', 'processing') AND id >= %s GROUP BY project_id, model
    """  # noqa: S608 - constants


class Gate:
    """Admits or refuses; one per process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        #: Predictions accepted by this process since it began.
        self.accepted = 0
        self._sample = Sample()
        self._since: Counter[tuple[int, str]] = Counter()
        self._newest: UUID | None = None
        #: When predictions were last counted that had ended, or there were too few to tell.
        self._counted_at = 0.0

    def admit(self, principal: Principal, version: Version, *, deadline_s: float) -> None:
        """Raise `QuotaExceeded` for the project's own limit, `Unavailable` for the model's, for all together, and
        when the queue is longer than the prediction may live."""
        with self._lock:
            sample, model = self._sample, (version.project_id, version.model)
            of_project = sample.by_project.get(principal.project_id, 0)
            of_project += sum(count for (project, _), count in self._since.items() if project == principal.project_id)
            of_model = sample.by_model.get(model, 0) + self._since[model]
            waiting = sample.open + sum(self._since.values())
        if of_project >= principal.open_limit:
            raise errors.QuotaExceeded(
                f"project {principal.project} has {of_project} unfinished predictions, its limit is"
                f" {principal.open_limit}",
                retry_after=_retry_after(of_project - principal.open_limit + 1, sample.rate),
            )
        if of_model >= version.open_limit:
            raise errors.Unavailable(
                f"model {version.model} has {of_model} unfinished predictions, its limit is {version.open_limit}",
                retry_after=_retry_after(of_model - version.open_limit + 1, sample.rate),
            )
        if waiting >= OPEN_LIMIT:
            raise errors.Unavailable("too many unfinished predictions", retry_after=_retry_after(waiting, sample.rate))
        if sample.rate and waiting / sample.rate > deadline_s:
            raise errors.Unavailable(
                f"the queue is about {waiting / sample.rate:.0f} s long, the prediction may take {deadline_s:g} s",
                retry_after=_retry_after(waiting - int(deadline_s * sample.rate), sample.rate),
            )

    def count(self, project_id: int, model: str) -> None:
        """One prediction of this model was accepted here."""
        with self._lock:
            self.accepted += 1
            self._since[project_id, model] += 1

    def sample(self) -> None:
        """Count what is open now, and measure how fast predictions end."""
        began = self._clock()
        with self._lock:
            counted_before = self._since.copy()
        counted = fetch(_OPEN, [dialect().id(HORIZON.near())])
        by_model = {(project_id, model): count for project_id, model, count in counted}
        by_project: Counter[int] = Counter()
        for (project_id, _), count in by_model.items():
            by_project[project_id] += count
        rate = self._measure(began, sum(by_model.values()))
        with self._lock:
            self._sample = Sample(sum(by_model.values()), by_project, by_model, rate)
            self._since.subtract(counted_before)
            self._since += Counter()  # drops what is zero

    def eta_s(self, position: int, row_cost_s: float) -> float:
        """Seconds until the prediction at this position is likely to end: by the measured rate, before there is one
        by the version's measured cost of a row."""
        rate = self._sample.rate
        return round(position / rate if rate else position * (row_cost_s + OVERHEAD_S), 3)

    def open(self) -> int:
        """Open predictions, as this process last knew."""
        with self._lock:
            return self._sample.open + sum(self._since.values())

    def open_by_model(self) -> dict[tuple[int, str], int]:
        """Open predictions by (project id, model), as this process last knew."""
        with self._lock:
            return dict(Counter(self._sample.by_model) + self._since)

    def _measure(self, now: float, open_now: int) -> float:
        """Endings since the last sample are what came in less what the backlog grew by. Only time with a backlog
        counts: a queue that is nearly empty says nothing about how fast it could go. While nothing ends at all, the
        broker or the workers may be away: that is no pace either, and its time counts when something ends again."""
        before = self._sample
        if open_now < BACKLOG:  # nor will the next sample measure, so nothing has to be known for it
            self._counted_at = now
            return before.rate
        newest = Prediction.objects.order_by("-id").values_list("id", flat=True).first()
        since, self._newest = self._newest, newest
        if before.open < BACKLOG or since is None or now <= self._counted_at:
            self._counted_at = now
            return before.rate
        came = Prediction.objects.filter(id__gt=since).count()
        ended = max(0, came + before.open - open_now)
        if not ended:
            return before.rate
        rate, self._counted_at = ended / (now - self._counted_at), now
        if not before.rate:
            return rate
        return before.rate + SMOOTHING * (rate - before.rate)


def _retry_after(excess: int, rate: float) -> int:
    seconds = math.ceil(excess / rate) if rate else LEAST_RETRY_S
    return min(MOST_RETRY_S, max(LEAST_RETRY_S, seconds))


GATE = Gate()
