"""The plain counters behind every metric of the product; `monitoring.declared` has the list, seen through here.

The paths add to numbers under a short lock, or note what is added later, many at once: prometheus_client's own
histogram costs as much as an inference. A collector turns the numbers into Prometheus' families when somebody scrapes.
Labels are the names and numbers of registered versions, protocols and error codes only; a metric that would grow
beyond `MOST_CHILDREN` folds the rest into one child labelled "other".
"""

from __future__ import annotations

import logging
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from monitoring import declared
from monitoring.declared import *  # noqa: F403 - `metrics.PREDICTIONS` is how every room names one
from monitoring.declared import DECLARED, MOST_CHILDREN, VERSION, Declared

logger = logging.getLogger(__name__)

Labels = tuple[str, ...]
Reading = Mapping[Labels, float]
_Array = np.ndarray[Any, Any]


class _Histogram:
    __slots__ = ("counts", "total")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * (buckets + 1)
        self.total = 0.0


class _Ended:
    """What one version's ended predictions of one protocol add to, found once: a call adds numbers and no tuples."""

    __slots__ = ("encode", "errors", "inference", "queue", "statuses", "total")

    def __init__(self, version: Labels, protocol: str) -> None:
        labels = (*version, protocol)
        self.total = _histogram(declared.PREDICTION_SECONDS, labels)
        self.queue = _histogram(declared.QUEUE_SECONDS, labels)
        self.inference = _histogram(declared.INFERENCE_SECONDS, labels)
        self.encode = _histogram(declared.ENCODE_SECONDS, labels)
        self.statuses: dict[str, Labels] = {}
        self.errors: dict[str, Labels] = {}


def _first(metric: Declared) -> dict[Labels, float]:
    """What a counter shows before anything was counted."""
    return {(value,): 0.0 for value in metric.values} if metric.labels else {(): 0.0}


_lock = threading.Lock()
_counters: dict[str, dict[Labels, float]] = {item.name: _first(item) for item in DECLARED if item.kind == "counter"}
_histograms: dict[str, dict[Labels, _Histogram]] = {item.name: {} for item in DECLARED if item.kind == "histogram"}
_gauges: dict[str, Callable[[], Reading]] = {}
_ended: dict[tuple[Labels, str], _Ended] = {}
_settlers: list[Callable[[], None]] = []
_is_on = True


def switch(on: bool) -> None:
    """Count, or leave all counting out: what counting costs is measured between the two."""
    global _is_on
    _is_on = on


def count(metric: Declared, labels: Labels = (), amount: float = 1) -> None:
    """Add to a counter."""
    if _is_on:
        with _lock:
            _add(metric, labels, amount)


def observe(metric: Declared, labels: Labels, value: float, times: int = 1) -> None:
    """Add one value to a histogram, so many times."""
    if _is_on:
        with _lock:
            _put(metric, _histogram(metric, labels), value, times)


def observe_many(metric: Declared, labels: Labels, counts: Iterable[int], total: float) -> None:
    """Add to a histogram what another one has seen: numbers per bucket, and the sum of the values."""
    if _is_on:
        with _lock:
            child = _histogram(metric, labels)
            child.counts = [before + more for before, more in zip(child.counts, counts, strict=True)]
            child.total += total


def provide(metric: Declared, read: Callable[[], Reading]) -> None:
    """Let a gauge be read by this function at each scrape: values by labels. It must not block."""
    _gauges[metric.name] = read


def begin(metric: Declared, labels: Iterable[Labels]) -> None:
    """Show a counter's children as 0 from now on: Prometheus sees no increase in a series that begins at 1."""
    with _lock:
        for one in labels:
            _add(metric, one, 0)


def observe_prediction(
    version: Labels,
    *,
    protocol: str,
    status: str,
    total_s: float,
    queue_s: float = 0.0,
    inference_s: float = 0.0,
    encode_s: float = 0.0,
    error_code: str = "",
) -> None:
    """Count one ended prediction of (project, model, version as text) under one lock: what both paths call."""
    if not _is_on:
        return
    with _lock:
        ended = _ended.get((version, protocol)) or _remember(version, protocol)
        labels = ended.statuses.get(status)
        if labels is None:
            labels = ended.statuses[status] = (*version, protocol, status)
        _add(declared.PREDICTIONS, labels, 1)
        if error_code:
            _add(declared.ERRORS, ended.errors.setdefault(error_code, (*version, error_code)), 1)
        _put(declared.PREDICTION_SECONDS, ended.total, total_s)
        _put(declared.QUEUE_SECONDS, ended.queue, queue_s)
        if inference_s:
            _put(declared.INFERENCE_SECONDS, ended.inference, inference_s)
        if encode_s:
            _put(declared.ENCODE_SECONDS, ended.encode, encode_s)


def observe_predictions(versions: list[Labels], which: _Array, times: _Array, *, protocol: str, status: str) -> None:
    """Count many ended predictions at once. `which` are the places of their versions in `versions`; `times` has the
    columns total, queue, inference and encode, in seconds; where one of the last two is 0 there was none."""
    if not _is_on:
        return
    with _lock:
        ended = [_ended.get((version, protocol)) or _remember(version, protocol) for version in versions]
        for version, one, number in zip(versions, ended, np.bincount(which).tolist(), strict=True):
            _add(declared.PREDICTIONS, one.statuses.setdefault(status, (*version, protocol, status)), number)
        total, queue, inference, encode = times.T
        ran, encoded = inference > 0, encode > 0
        _put_all(declared.PREDICTION_SECONDS, [one.total for one in ended], which, total)
        _put_all(declared.QUEUE_SECONDS, [one.queue for one in ended], which, queue)
        _put_all(declared.INFERENCE_SECONDS, [one.inference for one in ended], which[ran], inference[ran])
        _put_all(declared.ENCODE_SECONDS, [one.encode for one in ended], which[encoded], encode[encoded])


def settle_first(settle: Callable[[], None]) -> None:
    """Let numbers that were only noted so far be added before any are read."""
    _settlers.append(settle)


def _settle() -> None:
    for settle in _settlers:
        settle()


def count_records(outcome: str, amount: int) -> None:
    count(declared.RECORDS, (outcome,), amount)


def forget(version: Labels) -> None:
    """Drop every child of a retired (project, model, version): labels name live versions only."""
    _settle()
    with _lock:
        for known in [known for known in _ended if known[0] == version]:
            del _ended[known]
        for metric in DECLARED:
            if metric.labels[:3] == VERSION:
                children = _counters.get(metric.name) or _histograms.get(metric.name) or {}
                for labels in [labels for labels in children if labels[:3] == version]:
                    del children[labels]


def value(metric: Declared, labels: Labels = ()) -> float:
    """What a counter stands at, or how many values a histogram has seen."""
    _settle()
    with _lock:
        if metric.kind == "histogram":
            found = _histograms[metric.name].get(labels)
            return sum(found.counts) if found else 0
        return _counters[metric.name].get(labels, 0)


def _remember(version: Labels, protocol: str) -> _Ended:
    ended = _Ended(version, protocol)
    if len(_ended) < MOST_CHILDREN:
        _ended[version, protocol] = ended
    return ended


def _add(metric: Declared, labels: Labels, amount: float) -> None:
    children = _counters[metric.name]
    if labels not in children:
        labels = _admitted(metric, labels, len(children))
    children[labels] = children.get(labels, 0) + amount


def _histogram(metric: Declared, labels: Labels) -> _Histogram:
    children = _histograms[metric.name]
    child = children.get(labels)
    if child is None:
        labels = _admitted(metric, labels, len(children))
        child = children.setdefault(labels, _Histogram(len(metric.buckets)))
    return child


def _put(metric: Declared, child: _Histogram, value: float, times: int = 1) -> None:
    child.counts[bisect_left(metric.buckets, value)] += times
    child.total += value * times


def _put_all(metric: Declared, children: Sequence[_Histogram], which: _Array, values: _Array) -> None:
    width = len(metric.buckets) + 1
    numbers = np.bincount(which * width + np.searchsorted(metric.buckets, values))
    for place in np.flatnonzero(numbers).tolist():
        children[place // width].counts[place % width] += int(numbers[place])
    for child, total in zip(children, np.bincount(which, values, len(children)).tolist(), strict=True):
        child.total += total


def _admitted(metric: Declared, labels: Labels, size: int) -> Labels:
    if len(labels) != len(metric.labels):
        raise ValueError(f"{metric.name} takes the labels {metric.labels}, not {labels}")
    return labels if size < MOST_CHILDREN else ("other",) * len(labels)


def counted(metric: Declared) -> dict[Labels, float]:
    """What a counter stands at, by labels."""
    _settle()
    with _lock:
        return dict(_counters[metric.name])


def seen(metric: Declared) -> dict[Labels, tuple[list[int], float]]:
    """What a histogram has seen, by labels: numbers per bucket (not cumulative, the last beyond all) and the sum."""
    _settle()
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
