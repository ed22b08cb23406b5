"""A week of records and samples for the pages to draw: `python -m tests.browser.seeding` on DATA_DIR.

Denser towards now, as if traffic had grown; in the last hour a burst of model errors, a slow spell and a queue that
fills and drains. The same every time but for the moment it begins from.
"""

from __future__ import annotations

import math
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

#: A project without anything, for empty pages.
EMPTY = "quiet"
#: Minutes ago that the burst of errors began, and how long it lasted.
BURST, BURST_LENGTH = 24, 4
SLOW, SLOW_LENGTH = 42, 5
CLASSES = ("setosa", "versicolor", "virginica")


@dataclass
class Seeds:
    now: datetime
    chance: random.Random = field(default_factory=lambda: random.Random(7))

    def moments(self) -> Iterator[datetime]:
        """Of the last two hours many a minute, of the day some a quarter, of the week a few every two hours."""
        for minute in range(1, 120):
            wave = 14 + 6 * math.sin(minute / 6) + (10 if self._in(minute, BURST, BURST_LENGTH) else 0)
            yield from self._within(timedelta(minutes=minute), 60, round(wave * self.chance.uniform(0.85, 1.15)))
        for quarter in range(8, 96):
            many = 9 + 5 * math.sin(quarter / 15)
            yield from self._within(timedelta(minutes=15 * quarter), 900, round(many * self.chance.uniform(0.8, 1.2)))
        for stretch in range(12, 84):
            many = 10 + 6 * math.sin(stretch * math.pi / 6)
            yield from self._within(timedelta(hours=2 * stretch), 7200, round(many * self.chance.uniform(0.8, 1.2)))

    def latency(self, minute: float, *, queued: bool) -> float:
        base = 22.0 if queued else 2.4
        slow = 6.0 if self._in(minute, SLOW, SLOW_LENGTH) else 1.0
        return round(base * slow * self.chance.lognormvariate(0, 0.55), 3)

    def error(self, minute: float) -> str:
        if self._in(minute, BURST, BURST_LENGTH) and self.chance.random() < 0.55:
            return "model_error"
        return self.chance.choices(["", "invalid_input", "timeout"], [97, 2, 1])[0]

    def _in(self, minute: float, ago: int, length: int) -> bool:
        return ago - length < minute <= ago

    def _within(self, ago: timedelta, seconds: int, many: int) -> Iterator[datetime]:
        start = self.now - ago
        yield from (start + timedelta(seconds=self.chance.uniform(0, seconds * 0.99)) for _ in range(many))


def seed() -> None:
    from models_registry.models import Project
    from monitoring.stores import open_store

    Project.objects.get_or_create(name=EMPTY)
    seeds = Seeds(datetime.now(UTC))
    open_store().create([_record(seeds, moment) for moment in seeds.moments()])
    _samples(seeds)


def _record(seeds: Seeds, moment: datetime):
    from monitoring import ids
    from monitoring.records import Value
    from tests.contracts.record_store import a_record

    chance, minute = seeds.chance, (seeds.now - moment).total_seconds() / 60
    model = chance.choices(["iris", "penguins", "breast_cancer", "diabetes"], [5, 2, 2, 2])[0]
    version = 2 if model == "iris" and minute < 1000 and chance.random() < 0.4 else 1
    queued, code = chance.random() < 0.25, seeds.error(minute)
    total = seeds.latency(minute, queued=queued)
    values = () if code else tuple(Value("output", name, **value) for name, value in _output(chance, model, version))
    return a_record(
        id=UUID(int=ids.first_of(moment).int | 7 << 76 | 2 << 62 | chance.getrandbits(60)),
        accepted_at=moment,
        completed_at=moment + timedelta(milliseconds=total),
        model=model,
        version=version,
        door="queued" if queued else "online",
        protocol="replicate" if queued else "oip",
        status="failed" if code else "succeeded",
        error_code=code,
        error={"model_error": "the model failed: an index lies outside its table", "timeout": "no answer in time"}.get(
            code, "input: shape [1, 99] does not fit [-1, 4]" if code else ""
        ),
        rows=chance.choice([1, 1, 1, 8, 32]),
        queue_ms=round(total * 0.7 if queued else 0.05, 3),
        inference_ms=round(total * 0.2, 3),
        total_ms=total,
        values=values,
    )


def _output(chance: random.Random, model: str, version: int) -> Iterator[tuple[str, dict[str, object]]]:
    if model == "diabetes":
        yield "value", {"number": round(min(330.0, max(40.0, chance.gauss(150, 55))), 2)}
        return
    weights = [4, 3, 3] if version == 1 else [3, 2, 5]
    label = chance.choices(CLASSES, weights)[0] if model == "iris" else ""
    if model == "penguins":
        label = chance.choices(["Adelie", "Chinstrap", "Gentoo"], [5, 2, 4])[0]
    if model == "breast_cancer":
        label = chance.choices(["benign", "malignant"], [2, 1])[0]
    yield "label", {"text": label}
    certain = chance.betavariate(6, 1.2) if version == 1 else chance.betavariate(3, 1.6)
    yield "confidence", {"number": round(certain, 4)}


def _samples(seeds: Seeds) -> None:
    from monitoring.models import Sample
    from monitoring.sampling import LASTING, Sampler

    figures = Sampler("server").figures()
    rows = []
    for lasting, (every_s, kept) in enumerate(LASTING):
        for step in range(1, int(min(kept, timedelta(days=7)).total_seconds() / max(60.0, every_s))):
            ago = timedelta(seconds=step * max(60.0, every_s))
            said = _told(seeds, figures, ago.total_seconds() / 60)
            rows.append(Sample(at=seeds.now - ago, name="server", host="seeded", pid=1, lasting=lasting, figures=said))
    Sample.objects.bulk_create(rows, batch_size=500)


def _told(seeds: Seeds, figures: dict, minute: float) -> dict:
    """What a server of that time might have said; counters grow towards now."""
    from monitoring import metrics

    full = max(0.0, 1 - abs(minute - SLOW + 2) / 6) * 60
    grown = 10_000 - minute
    queue, inference = metrics.QUEUE_SECONDS, metrics.INFERENCE_SECONDS
    gauges = {
        **figures["gauges"],
        metrics.QUEUE_DEPTH.name: {
            "predictions.default.interactive": round(full / 4),
            "predictions.default.standard": round(full),
        },
        metrics.QUEUE_OLDEST.name: {"predictions.default.standard": round(full / 12, 2)},
        metrics.SPOOL_CALLS.name: {"": round(3 + 3 * math.sin(minute / 3) + full / 3)},
        metrics.UNRECORDED.name: {"": round(full / 8)},
        metrics.LOADED_MODELS.name: {"": 5},
        metrics.WORKER_THREADS.name: {"": 3},
    }
    # A third of three threads' minutes, more while the queue drains; every other prediction from the cache.
    busy_s = (grown + 8 * math.sin(minute / 8) + max(0.0, SLOW - minute)) * 60
    cached = {"hit": grown * 6 + 8 * math.sin(minute / 5), "miss": grown * 2, "collapsed": grown * 0.4}
    refused = {"oip not_found": grown * 2 + 12 * math.sin(minute / 9), "oip not_authenticated": grown}
    return {
        **figures,
        "memory": (168 + 12 * math.sin(minute / 17)) * 1e6,
        "cpu": round(0.18 + 0.08 * math.sin(minute / 6) + full / 150 + seeds.chance.uniform(0, 0.03), 3),
        "gauges": gauges,
        "counters": {
            **figures["counters"],
            metrics.REFUSALS.name: refused,
            metrics.WORKER_BUSY.name: {"": busy_s},
            metrics.CACHE_REQUESTS.name: cached,
        },
        "histograms": {
            queue.name: _histogram(len(queue.buckets), grown, first=3, slow=full),
            inference.name: _histogram(len(inference.buckets), grown, first=1, slow=full / 4),
            metrics.BATCH_ROWS.name: _histogram(len(metrics.BATCH_ROWS.buckets), grown, first=0, slow=0),
        },
    }


def _histogram(buckets: int, grown: float, *, first: int, slow: float) -> list[float]:
    """Counts that grow in the buckets around `first`, and in slower ones while `slow`; the sum last."""
    counts = [0.0] * (buckets + 1)
    for place, share in enumerate((10, 30, 12, 4, 1)):
        counts[first + place] = grown * share
    counts[first + 5] = grown * 0.2
    return [*counts, grown * 57 * 2.2]


if __name__ == "__main__":
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "serving_site.settings")
    django.setup()
    seed()
