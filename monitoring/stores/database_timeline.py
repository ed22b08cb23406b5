"""The timeline of records in the site's own database: exact counts by SQL, the rest from a bounded random sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import numpy as np
from django.db.models import CharField, Count, F, Func, IntegerField, QuerySet
from django.db.models.functions import Cast, Right

from monitoring.models import RecordRow, RecordValue
from monitoring.stores import timeline
from monitoring.stores.timeline import Bucket, Slice, Timeline

_Version = tuple[str, int]
#: (bucket, model, version, error code, records)
_Counted = tuple[int, str, int, str, int]


@dataclass(slots=True)
class _Gathered:
    """What the sample has of one slice; classes and numbers stay empty where nobody asks for them."""

    latencies: list[float] = field(default_factory=list)
    classes: dict[str, Counter[str]] = field(default_factory=dict)
    numbers: dict[str, list[float]] = field(default_factory=dict)


def read(
    matching: QuerySet[RecordRow], *, start: datetime, end: datetime, buckets: int, outputs: bool = True
) -> Timeline:
    """The timeline of these rows, which must all have been accepted from `start` to before `end`."""
    starts = timeline.starts(start, end, buckets)
    index = _Index(F("accepted_at"), start=start, width=timeline.width_ms(start, end, buckets))
    rows: QuerySet[Any] = matching.order_by().annotate(bucket=index)
    found = rows.values_list("bucket", "model", "version", "error_code").annotate(records=Count("*"))
    # An id may be a moment older than the time of acceptance, so the last rows may lie just behind the end.
    counted: list[_Counted] = [(min(item[0], buckets - 1), *item[1:]) for item in found]
    count = sum(item[4] for item in counted)
    share = min(1.0, timeline.MOST_SAMPLED / count) if count else 1.0
    sampled = _sample(rows, share, last=buckets - 1)
    gathered = _gather(sampled, _output_values(sampled) if outputs else ())
    edges = _edges(gathered["all"])

    def made(key: Any, chosen: Iterable[_Counted]) -> Slice:
        return _slice(list(chosen), gathered.get(key, _Gathered()), edges, share)

    versions = Counter[_Version]()
    for item in counted:
        versions[item[1], item[2]] += item[4]
    return Timeline(
        start=start,
        end=end,
        buckets=tuple(
            Bucket(moment, made(place, chosen := [item for item in counted if item[0] == place]), _by_version(chosen))
            for place, moment in enumerate(starts)
        ),
        total=made("all", counted),
        versions={
            version: made(version, [item for item in counted if (item[1], item[2]) == version])
            for version, _ in versions.most_common(timeline.MOST_VERSIONS)
        },
        edges=edges,
        share=share,
    )


def _sample(rows: QuerySet[Any], share: float, *, last: int) -> dict[UUID, tuple[int, _Version, float]]:
    """id → (bucket, version, milliseconds) of a random share: the end of an id is random."""
    if share < 1.0:
        rows = rows.annotate(tail=Right(Cast("id", CharField()), 4)).filter(tail__lt=f"{int(share * 0x10000):04x}")
    found = rows.values_list("id", "bucket", "model", "version", "total_ms")[: 2 * timeline.MOST_SAMPLED]
    return {
        identifier: (min(bucket, last), (model, version), total_ms)
        for identifier, bucket, model, version, total_ms in found
    }


def _output_values(sampled: Mapping[UUID, Any]) -> Iterable[tuple[UUID, str, float | None, str | None]]:
    identifiers = sorted(sampled)
    for first in range(0, len(identifiers), 500):
        chunk = identifiers[first : first + 500]
        values = RecordValue.objects.filter(record__in=chunk, side="output").order_by()
        yield from values.values_list("record_id", "name", "number", "text")


def _gather(
    sampled: Mapping[UUID, tuple[int, _Version, float]],
    values: Iterable[tuple[UUID, str, float | None, str | None]],
) -> dict[Any, _Gathered]:
    """What the sample says of all, of each version, and (latencies alone) of each bucket, by its number."""
    gathered: dict[Any, _Gathered] = {"all": _Gathered()}
    for bucket, version, total_ms in sampled.values():
        for key in ("all", bucket, version):
            gathered.setdefault(key, _Gathered()).latencies.append(total_ms)
    for identifier, name, number, text in values:
        for key in ("all", sampled[identifier][1]):
            if number is not None:
                gathered[key].numbers.setdefault(name, []).append(number)
            elif text is not None:
                gathered[key].classes.setdefault(name, Counter())[text] += 1
    return gathered


def _edges(everything: _Gathered) -> dict[str, tuple[float, ...]]:
    commonest = Counter({name: len(numbers) for name, numbers in everything.numbers.items()})
    names = [name for name, _ in commonest.most_common(timeline.MOST_NAMES)]
    return {
        name: timeline.edges_between(min(everything.numbers[name]), max(everything.numbers[name])) for name in names
    }


def _slice(
    counted: Sequence[_Counted], gathered: _Gathered, edges: Mapping[str, tuple[float, ...]], share: float
) -> Slice:
    p50, p95, p99 = timeline.percentiles(gathered.latencies)
    commonest = Counter({name: sum(texts.values()) for name, texts in gathered.classes.items()})
    return Slice(
        count=sum(item[4] for item in counted),
        errors=timeline.most_common(((item[3], item[4]) for item in counted if item[3]), timeline.MOST_CODES),
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        classes={
            name: {
                text: round(number / share)
                for text, number in gathered.classes[name].most_common(timeline.MOST_CLASSES)
            }
            for name, _ in commonest.most_common(timeline.MOST_NAMES)
        },
        numbers={
            name: tuple(round(number / share) for number in _bins(gathered.numbers[name], bounds))
            for name, bounds in edges.items()
            if name in gathered.numbers
        },
    )


def _by_version(counted: Iterable[_Counted]) -> dict[_Version, int]:
    found = Counter[_Version]()
    for item in counted:
        found[item[1], item[2]] += item[4]
    return dict(found.most_common(timeline.MOST_VERSIONS))


class _Index(Func):
    """The number of the bucket of `width` milliseconds, counted from `start`, that a time lies in."""

    output_field = IntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        # SQLite keeps times as text; a Julian day as a double is right to a twentieth of a millisecond.
        milliseconds = "CAST((julianday(%(expressions)s) - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)"
        return self.as_sql(compiler, connection, template=self._counted(milliseconds), **context)

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        milliseconds = "CAST(floor(extract(epoch FROM %(expressions)s) * 1000) AS bigint)"
        return self.as_sql(compiler, connection, template=self._counted(milliseconds), **context)

    def _counted(self, milliseconds: str) -> str:
        start = round(self.extra["start"].timestamp() * 1000)
        return f"(({milliseconds} - {start}) / {int(self.extra['width'])})"


def _bins(numbers: Sequence[float], bounds: Sequence[float]) -> Sequence[float]:
    """How many fall between each two bounds; what lies outside belongs to the first and the last bin."""
    counts: list[float] = np.histogram(np.clip(numbers, bounds[0], bounds[-1]), bounds)[0].tolist()
    return counts
