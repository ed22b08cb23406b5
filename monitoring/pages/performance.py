"""Performance: how long predictions take, where the time goes, how that compares with the time before."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from monitoring import metrics
from monitoring.pages import links, overview, sheet
from monitoring.pages.analysis import sampled
from monitoring.pages.overview import NO_PREDICTIONS
from monitoring.pages.seen import Seen
from monitoring.pages.sheet import Card, Cell, Chart, Series, Sheet, Table
from monitoring.stores.timeline import Timeline

#: What the response cache does → colour.
_CACHED = {"hit": "good", "collapsed": "c2", "miss": "warn", "bypass": "mute"}
_BEFORE = {"hour": "the hour before", "day": "the day before", "week": "the week before"}


def page(seen: Seen) -> Sheet:
    timeline, before = seen.timeline(), seen.timeline(before=True)
    notes = [*seen.notes, *(sampled(timeline) if timeline else ())]
    charts = [overview.latency(seen, timeline), *_compared(seen, timeline, before), _doors(seen), *_inside(seen)]
    tables = [_versions(timeline), _slowest(seen, timeline)] if timeline else []
    return Sheet(tuple(_cards(seen, timeline, before)), tuple(charts), tuple(tables), tuple(notes))


def _cards(seen: Seen, timeline: Timeline | None, before: Timeline | None) -> Iterable[Card]:
    if timeline is None or before is None:
        return
    seconds = (seen.asked.until - seen.asked.since).total_seconds()
    then = f"{sheet.number(before.total.count)} in {_BEFORE[seen.asked.period.name]}"
    yield Card("Predictions", sheet.number(timeline.total.count), then)
    busiest = max((bucket.all.count for bucket in timeline.buckets), default=0) / seen.axis.seconds
    yield Card(
        "Busiest", f"{sheet.short(busiest)} /s", f"{sheet.short(timeline.total.count / seconds)} per second in the mean"
    )
    for name, now, earlier in (
        ("Half within", timeline.total.p50_ms, before.total.p50_ms),
        ("95 % within", timeline.total.p95_ms, before.total.p95_ms),
        ("99 % within", timeline.total.p99_ms, before.total.p99_ms),
    ):
        told = f"{sheet.milliseconds(earlier)} in {_BEFORE[seen.asked.period.name]}"
        slower = now is not None and earlier is not None and now > 2 * earlier
        yield Card(name, sheet.milliseconds(now), told if earlier is not None else "", "warn" if slower else "")


def _compared(seen: Seen, timeline: Timeline | None, before: Timeline | None) -> Iterable[Chart]:
    """This time against the time before, stretch by stretch."""
    told = _BEFORE[seen.asked.period.name]
    now, then = timeline.buckets if timeline else (), before.buckets if before else ()
    yield seen.axis.chart(
        "p95",
        "95 % against the time before",
        f"The 95th percentile of the latency, and that of {told} (dashed).",
        kind="lines",
        unit="ms",
        series=[
            Series("now", tuple(bucket.all.p95_ms for bucket in now), {}),
            Series(told, tuple(bucket.all.p95_ms for bucket in then), colour="mute", is_dashed=True),
        ],
        empty=seen.or_away(NO_PREDICTIONS),
    )
    lasted = [seen.axis.lasted(start, datetime.now(UTC)) for start in seen.axis.starts]
    rate = tuple(round(bucket.all.count / seconds, 4) for bucket, seconds in zip(now, lasted, strict=False))
    earlier = tuple(round(bucket.all.count / seen.axis.seconds, 4) for bucket in then)
    yield seen.axis.chart(
        "rate",
        "Throughput against the time before",
        f"Predictions per second, and those of {told} (dashed).",
        kind="lines",
        unit="rate",
        series=[Series("now", rate, {}), Series(told, earlier, colour="mute", is_dashed=True)],
        empty=seen.or_away(NO_PREDICTIONS),
    )


def _doors(seen: Seen) -> Chart:
    series = []
    for door in ("online", "queued"):
        timeline = seen.timeline(door=door)
        values = tuple(bucket.all.p95_ms for bucket in timeline.buckets) if timeline else ()
        series.append(Series(door, values, {"door": door}))
    says = "95th percentile of what was answered at once and of what was accepted for later."
    return seen.axis.chart(
        "doors", "Online and queued", says, kind="lines", unit="ms", series=series, empty=seen.or_away(NO_PREDICTIONS)
    )


def _inside(seen: Seen) -> Iterable[Chart]:
    """Where the time goes, from what each process has counted, over all projects."""
    history = seen.history
    for key, title, says, metric in (
        ("waiting", "Waiting for the model", "From acceptance to the beginning of inference.", metrics.QUEUE_SECONDS),
        (
            "inference",
            "Inside the model",
            "Inference alone, without reading, writing or waiting.",
            metrics.INFERENCE_SECONDS,
        ),
    ):
        series = [
            Series(name, history.quantiles(metric, share), colour=colour)
            for name, share, colour in (("p50", 0.5, "good"), ("p95", 0.95, "warn"), ("p99", 0.99, "bad"))
        ]
        says = f"{says} All projects, by the processes' own histograms."
        yield seen.axis.chart(key, title, says, kind="lines", unit="s", series=series, empty=NO_PREDICTIONS)
    yield seen.axis.chart(
        "rows",
        "Rows per call",
        "Mean rows of one call of a model: requests at the same moment go together.",
        kind="lines",
        unit="",
        series=[Series("rows", history.means(metrics.BATCH_ROWS))],
        empty=NO_PREDICTIONS,
    )
    yield overview.resource(seen, "cpu", "Processor", "Cores in use by kind of process.", unit="cores")
    yield from _used(seen)


def _used(seen: Seen) -> Iterable[Chart]:
    """How much of the workers' time and of the response cache is made use of."""
    busy = seen.history.shares(metrics.WORKER_BUSY, metrics.WORKER_THREADS)
    yield seen.axis.chart(
        "busy",
        "Busy share of workers",
        "Of the time of each kind of worker's threads, how much went into batches. All projects.",
        kind="lines",
        unit="share",
        series=sheet.most([Series(name, values) for name, values in busy.items()]),
        empty="No worker has told anything in this time.",
    )
    found = seen.history.increases(metrics.CACHE_REQUESTS)
    yield seen.axis.chart(
        "cache",
        "Response cache",
        f"Predictions of models with a cache per {overview.stretch(seen.axis.seconds)}, by what it did. All projects.",
        kind="bars",
        unit="",
        series=[
            Series(result, found[result], colour=colour)
            for result, colour in _CACHED.items()
            if any(found.get(result, ()))
        ],
        is_stacked=True,
        empty="No model with a cache was asked in this time.",
    )


def _versions(timeline: Timeline) -> Table:
    rows = []
    for (model, number), part in sorted(timeline.versions.items(), key=lambda item: -(item[1].p95_ms or 0)):
        conditions = {"model": model, "version": str(number)}
        slow = {**conditions, "min_ms": f"{part.p95_ms:.3f}"} if part.p95_ms is not None else conditions
        rows.append(
            (
                Cell(f"{model} {number}", conditions=conditions),
                Cell(sheet.number(part.count), is_number=True),
                Cell(sheet.milliseconds(part.p50_ms), is_number=True),
                Cell(sheet.milliseconds(part.p95_ms), conditions=slow, is_number=True),
                Cell(sheet.milliseconds(part.p99_ms), is_number=True),
            )
        )
    columns = ("Version", "Predictions", "p50", "p95", "p99")
    says = "The slowest version first; its p95 leads to the predictions that took longer."
    return Table("slow-versions", "Latency by version", says, columns, tuple(rows), NO_PREDICTIONS, is_wide=True)


def _slowest(seen: Seen, timeline: Timeline) -> Table:
    """The newest predictions among the slowest hundredth."""
    least = timeline.total.p99_ms
    records = seen.records(least_ms=least) if least is not None else ()
    rows = tuple(
        (
            Cell(f"{record.accepted_at:%d %b %H:%M:%S}", link=links.record(record.id)),
            Cell(f"{record.model} {record.version}"),
            Cell(record.door),
            Cell(sheet.number(record.rows), is_number=True),
            Cell(sheet.milliseconds(record.queue_ms), is_number=True),
            Cell(sheet.milliseconds(record.inference_ms), is_number=True),
            Cell(sheet.milliseconds(record.total_ms), is_number=True),
        )
        for record in records
    )
    columns = ("Accepted (UTC)", "Version", "Door", "Rows", "Waited", "Inference", "In all")
    says = "The newest of the slowest 1 %."
    return Table("slowest", "Slow predictions", says, columns, rows, NO_PREDICTIONS, is_wide=True)
