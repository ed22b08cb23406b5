"""What this process did for each version since it started, as the Open Inference Protocol's statistics tell it.

Plain numbers, which `counting` adds up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from models_registry.per_version import MOST, PerVersion
from models_registry.routing import Version


@dataclass(slots=True)
class Took:
    """How often, and how many seconds in all."""

    count: int = 0
    seconds: float = 0.0

    def add(self, seconds: float, count: int = 1) -> None:
        self.count += count
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


#: By the version's own id: its object is another one after each change of its model.
_statistics: dict[UUID, Statistics] = {}


def _look_up(version: Version) -> Statistics:
    if len(_statistics) >= MOST:
        _statistics.clear()
    labels = (version.project, version.model, str(version.number))
    return _statistics.setdefault(version.id, Statistics(labels))


of = PerVersion(_look_up).of
