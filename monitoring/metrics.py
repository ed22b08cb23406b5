"""Every metric of the product, declared once, and the plain counters behind them.

The paths add to numbers under a short lock (about 1 µs a call; prometheus_client's own histogram costs as much as an
inference); a collector turns them into Prometheus' families when somebody scrapes. Labels are the names and numbers
of registered versions, protocols and error codes only; a metric that would grow beyond `MOST_CHILDREN` folds the rest
into one child labelled "other".
"""

from __future__ import annotations

import logging
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

logger = logging.getLogger(__name__)

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
WAITED = (*SECONDS, 30.0, 60.0, 300.0, 1800.0)
ROWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 1024.0, 10_000.0)
MOST_CHILDREN = 2000

_VERSION = ("project", "model", "version")


@dataclass(frozen=True, slots=True)
class Declared:
    """One metric: what README lists and what `/metrics` may show."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    #: The values its one label can have, where they are known: a counter shows them as 0 before the first count,
    #: for Prometheus sees no increase in a series that begins at 1.
    values: tuple[str, ...] = ()


PREDICTIONS = Declared(
    "serving_predictions_total", "counter", "Predictions that ended.", (*_VERSION, "protocol", "status")
)
ERRORS = Declared(
    "serving_errors_total", "counter", "Predictions that ended with an error, by its code.", (*_VERSION, "code")
)
REFUSALS = Declared(
    "serving_refusals_total", "counter", "Requests refused before a version was chosen.", ("protocol", "code")
)
PREDICTION_SECONDS = Declared(
    "serving_prediction_seconds",
    "histogram",
    "From acceptance to answer.",
    (*_VERSION, "protocol"),
    WAITED,
)
QUEUE_SECONDS = Declared(
    "serving_queue_seconds", "histogram", "From acceptance to the beginning of inference.", _VERSION, WAITED
)
INFERENCE_SECONDS = Declared("serving_inference_seconds", "histogram", "Inside the model.", _VERSION, SECONDS)
BATCH_ROWS = Declared("serving_batch_rows", "histogram", "Rows of one call of the model.", _VERSION, ROWS)
OPEN_PREDICTIONS = Declared(
    "serving_open_predictions", "gauge", "Accepted predictions that have not ended.", ("project", "model")
)
LEASE_EXPIRIES = Declared("serving_lease_expiries_total", "counter", "Claims of workers that ran out.")
RETRIES = Declared("serving_retries_total", "counter", "Nudges sent again by the keeper.")
DEAD_LETTERS = Declared(
    "serving_dead_letters_total",
    "counter",
    "Messages no worker took, by why: delivery_limit, rejected, expired, maxlen, unrouted.",
    ("reason",),
    values=("delivery_limit", "rejected", "expired", "maxlen", "unrouted"),
)
RECORDS = Declared(
    "serving_records_total",
    "counter",
    "Records by what became of them: written, duplicate, conflict, rejected, lost.",
    ("outcome",),
    values=("written", "duplicate", "conflict", "rejected", "lost"),
)
SPOOL_BYTES = Declared("serving_spool_bytes", "gauge", "Bytes of calls that wait for the record store.")
SPOOL_CALLS = Declared("serving_spool_calls", "gauge", "Calls that wait for the record store.")
SPOOL_OLDEST = Declared("serving_spool_oldest_seconds", "gauge", "Age of the oldest call that waits.")
SPOOL_DISK = Declared("serving_spool_disk_bytes", "gauge", "Size of the spool's segments on disk; its limit caps this.")
SPOOL_REFUSALS = Declared("serving_spool_refusals_total", "counter", "Calls refused because the spool was full.")
LOADED_MODELS = Declared("serving_loaded_models", "gauge", "Versions ready to predict in this process.")
MODEL_MEMORY = Declared("serving_model_memory_bytes", "gauge", "Memory a loaded version was measured at.", _VERSION)
SNAPSHOT_AGE = Declared(
    "serving_snapshot_age_seconds", "gauge", "Since the registry was last read; grows while the database is away."
)
REDIS_FAILURES = Declared(
    "serving_redis_failures_total",
    "counter",
    "Calls of Redis that failed, or were skipped while it was taken for away.",
    ("outcome",),
    values=("failed", "skipped"),
)
QUEUE_DEPTH = Declared("serving_queue_depth", "gauge", "Predictions of the ledger that wait for a worker.", ("queue",))
QUEUE_OLDEST = Declared("serving_queue_oldest_seconds", "gauge", "Age of the oldest prediction that waits.", ("queue",))
UNRECORDED = Declared(
    "serving_unrecorded_rows", "gauge", "Ended predictions of the ledger whose record is not in the store yet."
)
PART_OK = Declared(
    "serving_part_ok", "gauge", "1 while a part of this process's health is ok, 0 while degraded or down.", ("part",)
)

DECLARED: tuple[Declared, ...] = (
    PREDICTIONS,
    ERRORS,
    REFUSALS,
    PREDICTION_SECONDS,
    QUEUE_SECONDS,
    INFERENCE_SECONDS,
    BATCH_ROWS,
    OPEN_PREDICTIONS,
    LEASE_EXPIRIES,
    RETRIES,
    DEAD_LETTERS,
    RECORDS,
    SPOOL_BYTES,
    SPOOL_CALLS,
    SPOOL_OLDEST,
    SPOOL_DISK,
    SPOOL_REFUSALS,
    LOADED_MODELS,
    MODEL_MEMORY,
    SNAPSHOT_AGE,
    REDIS_FAILURES,
    QUEUE_DEPTH,
    QUEUE_OLDEST,
    UNRECORDED,
    PART_OK,
)

Labels = tuple[str, ...]
Reading = Mapping[Labels, float]


class _Histogram:
    __slots__ = ("counts", "total")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * (buckets + 1)
        self.total = 0.0


def _first(metric: Declared) -> dict[Labels, float]:
    """What a counter shows before anything was counted."""
    return {(value,): 0.0 for value in metric.values} if metric.labels else {(): 0.0}


_lock = threading.Lock()
_counters: dict[str, dict[Labels, float]] = {item.name: _first(item) for item in DECLARED if item.kind == "counter"}
_histograms: dict[str, dict[Labels, _Histogram]] = {item.name: {} for item in DECLARED if item.kind == "histogram"}
_gauges: dict[str, Callable[[], Reading]] = {}


def count(metric: Declared, labels: Labels = (), amount: float = 1) -> None:
    """Add to a counter."""
    with _lock:
        _add(metric, labels, amount)


def observe(metric: Declared, labels: Labels, value: float) -> None:
    """Add one value to a histogram."""
    with _lock:
        _put(metric, labels, value)


def provide(metric: Declared, read: Callable[[], Reading]) -> None:
    """Let a gauge be read by this function at each scrape: values by labels. It must not block."""
    _gauges[metric.name] = read


def observe_prediction(
    version: Labels,
    *,
    protocol: str,
    status: str,
    total_s: float,
    queue_s: float = 0.0,
    inference_s: float = 0.0,
    error_code: str = "",
) -> None:
    """Count one ended prediction of (project, model, version as text) under one lock: what both paths call."""
    with _lock:
        _add(PREDICTIONS, (*version, protocol, status), 1)
        if error_code:
            _add(ERRORS, (*version, error_code), 1)
        _put(PREDICTION_SECONDS, (*version, protocol), total_s)
        _put(QUEUE_SECONDS, version, queue_s)
        if inference_s:
            _put(INFERENCE_SECONDS, version, inference_s)


def count_records(outcome: str, amount: int) -> None:
    count(RECORDS, (outcome,), amount)


def forget(version: Labels) -> None:
    """Drop every child of a retired (project, model, version): labels name live versions only."""
    with _lock:
        for metric in DECLARED:
            if metric.labels[:3] == _VERSION:
                children = _counters.get(metric.name) or _histograms.get(metric.name) or {}
                for labels in [labels for labels in children if labels[:3] == version]:
                    del children[labels]


def value(metric: Declared, labels: Labels = ()) -> float:
    """What a counter stands at, or how many values a histogram has seen."""
    with _lock:
        if metric.kind == "histogram":
            found = _histograms[metric.name].get(labels)
            return sum(found.counts) if found else 0
        return _counters[metric.name].get(labels, 0)


def _add(metric: Declared, labels: Labels, amount: float) -> None:
    children = _counters[metric.name]
    if labels not in children:
        labels = _admitted(metric, labels, len(children))
    children[labels] = children.get(labels, 0) + amount


def _put(metric: Declared, labels: Labels, value: float) -> None:
    children = _histograms[metric.name]
    child = children.get(labels)
    if child is None:
        labels = _admitted(metric, labels, len(children))
        child = children.setdefault(labels, _Histogram(len(metric.buckets)))
    child.counts[bisect_left(metric.buckets, value)] += 1
    child.total += value


def _admitted(metric: Declared, labels: Labels, size: int) -> Labels:
    if len(labels) != len(metric.labels):
        raise ValueError(f"{metric.name} takes the labels {metric.labels}, not {labels}")
    return labels if size < MOST_CHILDREN else ("other",) * len(labels)


def counted(metric: Declared) -> dict[Labels, float]:
    """What a counter stands at, by labels."""
    with _lock:
        return dict(_counters[metric.name])


def seen(metric: Declared) -> dict[Labels, tuple[list[int], float]]:
    """What a histogram has seen, by labels: numbers per bucket (not cumulative, the last beyond all) and the sum."""
    with _lock:
        return {labels: (list(child.counts), child.total) for labels, child in _histograms[metric.name].items()}


class _Collector(Collector):
    """Prometheus' view of the plain numbers, made anew at each scrape."""

    def collect(self) -> Iterator[Metric]:
        for metric in DECLARED:
            yield _family(metric)

    def describe(self) -> Iterable[Metric]:
        return []


def _family(metric: Declared) -> Metric:
    if metric.kind == "counter":
        counter = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, amount in counted(metric).items():
            counter.add_metric(labels, amount)
        return counter
    if metric.kind == "gauge":
        gauge = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, amount in read_gauge(metric).items():
            gauge.add_metric(labels, amount)
        return gauge
    histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, (counts, total) in seen(metric).items():
        histogram.add_metric(labels, buckets=_cumulative(metric, counts), sum_value=total)
    return histogram


def _cumulative(metric: Declared, counts: list[int]) -> list[tuple[str, float]]:
    buckets, running = [], 0
    for bound, number in zip((*map(str, metric.buckets), "+Inf"), counts, strict=True):
        running += number
        buckets.append((bound, float(running)))
    return buckets


def read_gauge(metric: Declared) -> Reading:
    """A gauge that cannot be read is left out and logged: watching never breaks."""
    read = _gauges.get(metric.name)
    if read is None:
        return {}
    try:
        return dict(list(read().items())[:MOST_CHILDREN])
    except Exception:
        logger.warning("%s could not be read", metric.name, exc_info=True, extra={"action": "gauge_failed"})
        return {}


REGISTRY.register(_Collector())
