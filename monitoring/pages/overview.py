"""System overview and health: is it well, how much comes in, how long does it take, what waits, what is used."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from operator import itemgetter

from django.urls import reverse

from monitoring import health, metrics
from monitoring.pages import sheet
from monitoring.pages.history import Values
from monitoring.pages.seen import Seen
from monitoring.pages.sheet import Card, Chart, Series, Sheet
from monitoring.stores.timeline import Timeline

NO_PREDICTIONS = "No predictions in this time."
NO_SAMPLES = "No process has told anything in this time."
STATUSES = {"succeeded": "good", "failed": "bad", "canceled": "warn", "aborted": "mute"}
_TONES = {"ok": "good", "degraded": "warn", "unavailable": "bad"}


def page(seen: Seen) -> Sheet:
    timeline = seen.timeline()
    charts = [throughput(seen), latency(seen, timeline), *_queues(seen), *_resources(seen)]
    return Sheet(tuple(_cards(seen, timeline)), tuple(charts), notes=tuple(seen.notes))


def throughput(seen: Seen) -> Chart:
    """Predictions per stretch, by how they ended."""
    numbers: dict[str, list[float | None]] = defaultdict(lambda: [0] * len(seen.axis.starts))
    for count in seen.counts():
        step = seen.step(count.start)
        if step is not None:
            numbers[count.status][step] = (numbers[count.status][step] or 0) + count.count
    series = [
        Series(status, tuple(numbers[status]), {"status": status}, colour)
        for status, colour in STATUSES.items()
        if status in numbers
    ]
    return seen.axis.chart(
        "throughput",
        "Predictions",
        f"Ended predictions per {stretch(seen.axis.seconds)}, by how they ended.",
        kind="bars",
        unit="",
        series=series,
        is_stacked=True,
        empty=seen.or_away(NO_PREDICTIONS),
    )


def latency(seen: Seen, timeline: Timeline | None) -> Chart:
    """Percentiles of the time from acceptance to answer."""
    buckets = timeline.buckets if timeline else ()
    lines = {
        "p50": ([bucket.all.p50_ms for bucket in buckets], "good"),
        "p95": ([bucket.all.p95_ms for bucket in buckets], "warn"),
        "p99": ([bucket.all.p99_ms for bucket in buckets], "bad"),
    }
    return seen.axis.chart(
        "latency",
        "Latency",
        "From acceptance to answer: half, 95 % and 99 % of the predictions took at most this.",
        kind="lines",
        unit="ms",
        series=[Series(name, tuple(values), {}, colour) for name, (values, colour) in lines.items()],
        empty=seen.or_away(NO_PREDICTIONS),
    )


def stretch(seconds: int) -> str:
    return {60: "minute", 900: "quarter of an hour", 7200: "two hours"}.get(seconds, f"{seconds} s")


def _cards(seen: Seen, timeline: Timeline | None) -> Iterable[Card]:
    status = health.report()
    away = sum(part["state"] != "ok" for part in status["parts"].values())
    says = f"{away} of {len(status['parts'])} parts not ok" if away else f"all {len(status['parts'])} parts ok"
    yield Card("Health", status["status"], says, _TONES[status["status"]], reverse("watch", args=["status"]))
    if timeline is not None:
        yield from _answered(seen, timeline)
    waiting = _last(seen.history.gauge(metrics.OPEN_PREDICTIONS))
    yield Card("Open predictions", sheet.number(waiting or 0), "accepted, not ended")
    spooled = _last(seen.history.gauge(metrics.SPOOL_CALLS)) or 0
    yield Card("Spool", sheet.number(spooled), "calls wait for the record store", "warn" if spooled > 1000 else "")


def _answered(seen: Seen, timeline: Timeline) -> Iterable[Card]:
    """What only the record store can tell; without it there is no card, for 0 would be wrong."""
    count, errors = timeline.total.count, sum(timeline.total.errors.values())
    seconds = (seen.asked.until - seen.asked.since).total_seconds()
    yield Card("Predictions", sheet.number(count), f"{sheet.short(count / seconds)} per second")
    yield Card(
        "Errors",
        sheet.share(errors, count),
        f"{sheet.number(errors)} predictions",
        "bad" if errors > 0.05 * count else "warn" if errors else "good",
        reverse("watch", args=["errors"]),
    )
    says = f"half within {sheet.milliseconds(timeline.total.p50_ms)}"
    yield Card("95 % within", sheet.milliseconds(timeline.total.p95_ms), says)


def _last(values: Values) -> float | None:
    return next((value for value in reversed(values) if value is not None), None)


def _queues(seen: Seen) -> Iterable[Chart]:
    history = seen.history
    queues = history.gauge_labels(metrics.QUEUE_DEPTH)
    for key, title, says, metric, unit in (
        ("depth", "Queue depth", "Predictions that wait for a worker, by queue.", metrics.QUEUE_DEPTH, ""),
        ("age", "Oldest waiting", "Age of the oldest prediction that waits, by queue.", metrics.QUEUE_OLDEST, "s"),
    ):
        series = [Series(queue.removeprefix("predictions."), history.gauge(metric, queue)) for queue in queues]
        empty = "Nothing waited in this time." if queues else NO_SAMPLES
        yield seen.axis.chart(key, title, says, kind="lines", unit=unit, series=sheet.most(series), empty=empty)
    yield seen.axis.chart(
        "spool",
        "Records on their way",
        "Online calls in the spool and ended rows of the ledger that are not in the record store yet.",
        kind="lines",
        unit="",
        series=[
            Series("spool", history.gauge(metrics.SPOOL_CALLS)),
            Series("ledger", history.gauge(metrics.UNRECORDED)),
        ],
        empty="Every record was stored at once." if history.said else NO_SAMPLES,
    )


def _resources(seen: Seen) -> Iterable[Chart]:
    yield seen.axis.chart(
        "models",
        "Loaded models",
        "Versions ready to predict, in all processes.",
        kind="lines",
        unit="",
        series=[Series("versions", seen.history.gauge(metrics.LOADED_MODELS, adds=True))],
        empty=NO_SAMPLES,
    )
    yield resource(seen, "memory", "Memory", "Resident memory by kind of process.", unit="bytes")
    yield resource(seen, "cpu", "Processor", "Cores in use by kind of process.", unit="cores")


def resource(seen: Seen, key: str, title: str, says: str, *, unit: str) -> Chart:
    """What the processes of each kind use together."""
    history = seen.history
    series = [Series(name, history.over(itemgetter(key), name=name, adds=True)) for name in history.names()]
    return seen.axis.chart(key, title, says, kind="lines", unit=unit, series=sheet.most(series), empty=NO_SAMPLES)
