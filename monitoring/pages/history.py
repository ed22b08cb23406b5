"""The samples of every process over the stretches of a page, as series."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from monitoring.metrics import Declared
from monitoring.models import Sample
from monitoring.pages.sheet import Axis

#: Rows one page reads at most: a hundred processes for an hour.
MOST_ROWS = 25_000
#: A process that said nothing for so many seconds is taken for gone.
GONE_S = 60.0

Pick = Callable[[dict[str, Any]], float | None]
Values = tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """One sample, in the stretch `step`."""

    at: datetime
    step: int
    name: str
    host: str
    pid: int
    figures: dict[str, Any]


@dataclass(frozen=True, slots=True)
class History:
    """What all processes said, oldest first."""

    axis: Axis
    said: tuple[Said, ...] = ()

    def gauge(self, metric: Declared, label: str = "", *, adds: bool = False) -> Values:
        """The largest that any process said in each stretch; `adds`: of each process, added up."""
        return self.over(lambda figures: figures["gauges"].get(metric.name, {}).get(label), adds=adds)

    def gauge_labels(self, metric: Declared) -> list[str]:
        return sorted({label for said in self.said for label in said.figures["gauges"].get(metric.name, {})})

    def over(self, pick: Pick, *, name: str | None = None, adds: bool = False) -> Values:
        """Numbers of each stretch from the processes called `name`, or from all."""
        largest: list[dict[tuple[str, int], float]] = [{} for _ in self.axis.starts]
        for said in self.said:
            value = pick(said.figures) if name is None or said.name == name else None
            if value is not None:
                known = largest[said.step]
                who = said.host, said.pid
                known[who] = max(value, known.get(who, value))
        if adds and largest[-1]:
            # The last stretch has just begun: who runs and has not spoken in it yet is still there.
            for said in self.latest():
                value = pick(said.figures) if name is None or said.name == name else None
                if value is not None:
                    largest[-1].setdefault((said.host, said.pid), value)
        join: Callable[[Any], float] = sum if adds else max
        return tuple(round(join(known.values()), 4) if known else None for known in largest)

    def names(self) -> list[str]:
        return sorted({said.name for said in self.said})

    def increases(self, metric: Declared) -> dict[str, Values]:
        """How much a counter grew in each stretch, by label, over all processes."""
        grown: dict[str, list[float]] = defaultdict(lambda: [0.0] * len(self.axis.starts))
        before: dict[tuple[str, int], dict[str, float]] = {}
        for said in self.said:
            now = said.figures["counters"].get(metric.name, {})
            # What a process had counted before it is first heard is not of this time; a label that comes later is.
            then = before.get((said.host, said.pid), now)
            for label, value in now.items():
                grown[label][said.step] += max(0.0, value - then.get(label, 0.0))
            before[said.host, said.pid] = now
        return {label: tuple(values) for label, values in grown.items()}

    def shares(self, spent: Declared, having: Declared) -> dict[str, Values]:
        """How much of what each process has (a gauge, per second) it spent (a counter) in each stretch, by its name.

        From 0 to 1 and None where it said nothing twice; of processes with one name the mean.
        """
        used: dict[str, list[float]] = defaultdict(lambda: [0.0] * len(self.axis.starts))
        had: dict[str, list[float]] = defaultdict(lambda: [0.0] * len(self.axis.starts))
        before: dict[tuple[str, int], Said] = {}
        for said in self.said:
            has = said.figures["gauges"].get(having.name, {}).get("", 0.0)
            then = before.get((said.host, said.pid))
            if has and then is not None:
                spent_now, spent_then = (
                    one.figures["counters"].get(spent.name, {}).get("", 0.0) for one in (said, then)
                )
                used[said.name][said.step] += max(0.0, spent_now - spent_then)
                had[said.name][said.step] += has * (said.at - then.at).total_seconds()
            before[said.host, said.pid] = said
        return {
            name: tuple(
                round(min(1.0, amount / whole), 4) if whole else None
                for amount, whole in zip(used[name], had[name], strict=True)
            )
            for name in sorted(used)
        }

    def quantiles(self, metric: Declared, share: float) -> Values:
        """A quantile of what a histogram saw in each stretch, in its own unit; None where it saw nothing."""
        seen = [[0.0] * (len(metric.buckets) + 1) for _ in self.axis.starts]
        for step, grown in self._growth(metric):
            seen[step] = [one + more for one, more in zip(seen[step], grown[:-1], strict=True)]
        return tuple(quantile(metric.buckets, counts, share) for counts in seen)

    def means(self, metric: Declared) -> Values:
        """The mean of what a histogram saw in each stretch."""
        numbers, totals = [0.0] * len(self.axis.starts), [0.0] * len(self.axis.starts)
        for step, grown in self._growth(metric):
            numbers[step] += sum(grown[:-1])
            totals[step] += grown[-1]
        return tuple(round(total / count, 4) if count else None for total, count in zip(totals, numbers, strict=True))

    def _growth(self, metric: Declared) -> list[tuple[int, list[float]]]:
        found: list[tuple[int, list[float]]] = []
        before: dict[tuple[str, int], list[float]] = {}
        for said in self.said:
            now = said.figures["histograms"].get(metric.name)
            if now:
                then = before.get((said.host, said.pid), now)
                found.append((said.step, [max(0.0, one - old) for one, old in zip(now, then, strict=True)]))
                before[said.host, said.pid] = now
        return found

    def latest(self) -> list[Said]:
        """The last word of every process that still runs, by name."""
        last = {(said.host, said.pid): said for said in self.said}
        newest = max((said.at for said in self.said), default=None)
        there = [said for said in last.values() if newest and (newest - said.at).total_seconds() < GONE_S]
        return sorted(there, key=lambda said: (said.name, said.host, said.pid))


def read(axis: Axis, *, lasting: int) -> History:
    """The samples of this time that lie densely enough: those kept as long as `lasting` says, or longer."""
    rows = (
        Sample.objects.filter(lasting__gte=lasting, at__gte=axis.starts[0])
        .order_by("at")
        .values_list("at", "name", "host", "pid", "figures")
    )
    said = []
    for at, name, host, pid, figures in rows[:MOST_ROWS]:
        step = axis.index(at)
        if step is not None:
            said.append(Said(at, step, name, host, pid, figures))
    return History(axis, tuple(said))


def quantile(bounds: Sequence[float], counts: Sequence[float], share: float) -> float | None:
    """Linear within the bucket it falls into, as Prometheus' histogram_quantile; beyond the last bound, that bound."""
    running, wanted = 0.0, share * sum(counts)
    if not wanted:
        return None
    cumulative = []
    for count in counts:
        running += count
        cumulative.append(running)
    place = bisect_left(cumulative, wanted)
    if place >= len(bounds):
        return bounds[-1]
    lower = bounds[place - 1] if place else 0.0
    before = cumulative[place - 1] if place else 0.0
    return lower + (bounds[place] - lower) * (wanted - before) / (cumulative[place] - before)
