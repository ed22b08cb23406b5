"""What one process has counted, added to the numbers of another: a child's metrics are shown by its parent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from monitoring import metrics
from monitoring.declared import BY_NAME
from monitoring.metrics import Labels


@dataclass(frozen=True, slots=True)
class Growth:
    """By how much counters, and numbers per bucket and sums of histograms, have grown: (name, labels, …)."""

    counters: tuple[tuple[str, Labels, float], ...] = ()
    histograms: tuple[tuple[str, Labels, tuple[int, ...], float], ...] = ()


class Counted:
    """What this process counts from now on; `since_start`: what it has counted already comes first."""

    def __init__(self, *, since_start: bool = False) -> None:
        self._counters: dict[str, dict[Labels, float]] = {}
        self._histograms: dict[str, dict[Labels, tuple[list[int], float]]] = {}
        if not since_start:
            self.taken()

    def taken(self) -> Growth:
        """What has come since this was last asked, a child that appeared and stands at zero included."""
        return Growth(tuple(self._taken_counters()), tuple(self._taken_histograms()))

    def _taken_counters(self) -> Iterator[tuple[str, Labels, float]]:
        for metric in (one for one in metrics.DECLARED if one.kind == "counter"):
            now, before = metrics.counted(metric), self._counters.get(metric.name, {})
            self._counters[metric.name] = now
            for labels, amount in now.items():
                known = before.get(labels)
                if amount != known:
                    # Less than before: it was forgotten meanwhile and began again.
                    yield metric.name, labels, amount - known if known and amount > known else amount

    def _taken_histograms(self) -> Iterator[tuple[str, Labels, tuple[int, ...], float]]:
        for metric in (one for one in metrics.DECLARED if one.kind == "histogram"):
            now, before = metrics.seen(metric), self._histograms.get(metric.name, {})
            self._histograms[metric.name] = now
            for labels, (counts, total) in now.items():
                known, sum_before = before.get(labels, ([], 0.0))
                if counts == known:
                    continue
                if not known or any(count < then for count, then in zip(counts, known, strict=True)):
                    known, sum_before = [0] * len(counts), 0.0
                grown = tuple(count - then for count, then in zip(counts, known, strict=True))
                yield metric.name, labels, grown, total - sum_before


def add(growth: Growth) -> None:
    """Count here what was counted there."""
    for name, labels, amount in growth.counters:
        metrics.count(BY_NAME[name], labels, amount)
    for name, labels, counts, total in growth.histograms:
        metrics.observe_many(BY_NAME[name], labels, counts, total)
