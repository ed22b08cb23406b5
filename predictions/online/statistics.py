"""What this process did for each version since it started, as the Open Inference Protocol's statistics tell it.

Plain numbers in slots, added to without a lock: in CPython no other thread runs between the reading and the writing of
`number += value`, and a lock here would be one that every call of a version shares.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from models_registry.per_version import MOST, PerVersion
from models_registry.response_cache import Outcome
from models_registry.routing import Version
from predictions.online.recording import Call

#: Sizes of batches that are remembered; what comes beyond is counted under no size.
MOST_SIZES = 256


@dataclass(slots=True)
class Took:
    """How often, and how many seconds in all."""

    count: int = 0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        self.count += 1
        self.seconds += seconds


@dataclass(slots=True)
class Statistics:
    """Of one version, `labels` in metrics. `rows` were predicted, in `runs.count` runs; `sizes` are those by rows."""

    labels: tuple[str, str, str]
    success: Took = field(default_factory=Took)
    fail: Took = field(default_factory=Took)
    queue: Took = field(default_factory=Took)
    decode: Took = field(default_factory=Took)
    infer: Took = field(default_factory=Took)
    encode: Took = field(default_factory=Took)
    hit: Took = field(default_factory=Took)
    miss: Took = field(default_factory=Took)
    runs: Took = field(default_factory=Took)
    sizes: dict[int, Took] = field(default_factory=dict)
    rows: int = 0
    last_at: float = 0.0

    def ran(self, rows: int, seconds: float) -> None:
        """One run of the model, for one call or several."""
        self.runs.add(seconds)
        size = self.sizes.get(rows)
        if size is None and len(self.sizes) < MOST_SIZES:
            size = self.sizes.setdefault(rows, Took())
        if size is not None:
            size.add(seconds)

    def answered(self, call: Call) -> None:
        """One call that was answered; its parts are counted as Triton counts them."""
        total = call.total_s
        self.success.add(total)
        self.last_at = call.accepted_at + total
        self.rows += call.rows
        if call.answered is not None:
            (self.hit if call.answered.outcome in (Outcome.HIT, Outcome.COLLAPSED) else self.miss).add(total)
        if not call.cached:
            self.queue.add(call.queue_s)
            self.infer.add(call.inference_s)
            self.decode.add(max(0.0, total - call.queue_s - call.inference_s - call.encode_s))
            self.encode.add(call.encode_s)


#: By the version's own id: its object is another one after each change of its model.
_statistics: dict[UUID, Statistics] = {}


def _look_up(version: Version) -> Statistics:
    if len(_statistics) >= MOST:
        _statistics.clear()
    labels = (version.project, version.model, str(version.number))
    return _statistics.setdefault(version.id, Statistics(labels))


of = PerVersion(_look_up).of
