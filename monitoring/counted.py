"""What one process has counted, added to the numbers of another: a child's metrics are shown by its parent."""

from __future__ import annotations

from dataclasses import dataclass

from monitoring import metrics
from monitoring.metrics import Labels


@dataclass(frozen=True, slots=True)
class Growth:
    """By how much counters, and numbers per bucket and sums of histograms, have grown: (name, labels, …)."""

    counters: tuple[tuple[str, Labels, float], ...] = ()
    histograms: tuple[tuple[str, Labels, tuple[int, ...], float], ...] = ()


class Counted:
    """What this process counts from now on."""

    def __init__(self) -> None:
        self._counters: dict[tuple[str, Labels], float] = {}
        self._histograms: dict[tuple[str, Labels], tuple[list[int], float]] = {}
        self.taken()

    def taken(self) -> Growth:
        """What has come since this was last asked."""
        counters, histograms = [], []
        for metric in metrics.DECLARED:
            if metric.kind == "counter":
                for labels, amount in metrics.counted(metric).items():
                    before = self._counters.get((metric.name, labels), 0.0)
                    if amount != before:
                        self._counters[metric.name, labels] = amount
                        counters.append((metric.name, labels, amount - before))
            elif metric.kind == "histogram":
                for labels, (counts, total) in metrics.seen(metric).items():
                    known, sum_before = self._histograms.get((metric.name, labels), ([0] * len(counts), 0.0))
                    if counts != known:
                        self._histograms[metric.name, labels] = counts, total
                        grown = tuple(now - then for now, then in zip(counts, known, strict=True))
                        histograms.append((metric.name, labels, grown, total - sum_before))
        return Growth(tuple(counters), tuple(histograms))


def add(growth: Growth) -> None:
    """Count here what was counted there."""
    for name, labels, amount in growth.counters:
        metrics.count(_BY_NAME[name], labels, amount)
    for name, labels, counts, total in growth.histograms:
        metrics.observe_many(_BY_NAME[name], labels, counts, total)


_BY_NAME = {metric.name: metric for metric in metrics.DECLARED}
