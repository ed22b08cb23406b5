"""What the records of one stretch of time look like over time: the value `RecordStore.timeline` returns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np

MOST_BUCKETS = 500
#: Records whose latencies and outputs are looked at; when more meet the query, a random share of about so many.
MOST_SAMPLED = 6_000
#: Output names with classes or numbers, classes of one name, error codes, and versions that are told apart.
MOST_NAMES = 10
MOST_CLASSES = 20
MOST_CODES = 20
MOST_VERSIONS = 50
#: Equal bins of one output's numbers between its least and greatest value.
BINS = 20


@dataclass(frozen=True, slots=True)
class Slice:
    """Some records taken together. `errors` by code; `p50_ms` … are None without records.

    `classes` has output name → text → count, `numbers` output name → counts of the bins in `Timeline.edges`: both
    of the first instance of each record.
    """

    count: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    classes: dict[str, dict[str, int]] = field(default_factory=dict)
    numbers: dict[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bucket:
    """The records accepted from `start` until the next bucket's start; `versions` counts them by (model, version).

    `all` has no classes and numbers: no page draws distributions over time.
    """

    start: datetime
    all: Slice
    versions: dict[tuple[str, int], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Timeline:
    """`buckets` are equally long and without gaps, oldest first; `total` is all of them.

    `versions` goes by (model, version). Counts, errors and versions are exact.
    Latencies, classes and numbers come from a random `share` of the records when there are more than
    `MOST_SAMPLED`; classes and numbers are then scaled up. `edges` has BINS + 1 ascending bounds for each name in
    `numbers`. A timeline that was asked for without outputs has no classes, numbers and edges.
    """

    start: datetime
    end: datetime
    buckets: tuple[Bucket, ...]
    total: Slice
    versions: dict[tuple[str, int], Slice]
    edges: dict[str, tuple[float, ...]]
    share: float = 1.0


def starts(start: datetime, end: datetime, buckets: int) -> list[datetime]:
    """Beginnings of the buckets. Raises `ValueError` for no time, no bucket or more than `MOST_BUCKETS`."""
    if not 1 <= buckets <= MOST_BUCKETS or not start < end:
        raise ValueError(f"a timeline needs 1 to {MOST_BUCKETS} buckets of a time that ends after its start")
    width = width_ms(start, end, buckets)
    return [start + timedelta(milliseconds=width * index) for index in range(buckets)]


def width_ms(start: datetime, end: datetime, buckets: int) -> int:
    """Whole milliseconds of one bucket; the last one ends at or after `end`."""
    return max(1, -(-round((end - start).total_seconds() * 1000) // buckets))


#: The largest number that bounds of bins are made of, and the least width of all bins as a share of it.
GREATEST = 1e300
NARROWEST = 1e-9


def edges_between(least: float, most: float) -> tuple[float, ...]:
    """BINS + 1 bounds from least to most, each greater than the one before; one value gets a bin in the middle.

    Beyond ±GREATEST, where the width of all bins is no number any more, values belong to the first and the last bin.
    """
    least, most = (min(max(bound, -GREATEST), GREATEST) for bound in (least, most))
    size = max(abs(least), abs(most))
    if most - least <= max(size * NARROWEST, 1 / GREATEST):
        around = max(0.5, size * NARROWEST)
        least, most = least - around, most + around
    return tuple(float(edge) for edge in np.linspace(least, most, BINS + 1))


def percentiles(milliseconds: Sequence[float]) -> tuple[float | None, float | None, float | None]:
    """The 50th, 95th and 99th percentile, linearly interpolated, in milliseconds."""
    if not len(milliseconds):
        return None, None, None
    found = np.percentile(np.asarray(milliseconds, dtype=float), (50, 95, 99))
    return tuple(round(float(value), 3) for value in found)  # type: ignore[return-value]


def most_common(counts: Iterable[tuple[str, int]], most: int) -> dict[str, int]:
    """The largest counts, largest first."""
    counter: Counter[str] = Counter()
    for name, count in counts:
        counter[name] += count
    return dict(counter.most_common(most))
