"""The metrics of several server processes of one host as one: each adds its numbers to files that all of them read.

The paths count in plain numbers (`monitoring.metrics`); once a second a thread adds what has come to prometheus_client,
whose multiprocess mode keeps one memory-mapped file per process and kind, and merges them at a scrape. What a dead
process has counted stays, its gauges go.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from prometheus_client import Counter, Gauge, Histogram, multiprocess

from monitoring import metrics
from monitoring.background import Background, Ticker
from monitoring.counted import Counted
from monitoring.declared import BY_NAME
from monitoring.metrics import Declared, Labels

FOLDER = "PROMETHEUS_MULTIPROC_DIR"

#: How the processes' gauges become one: what each has of its own is added, what they all read elsewhere is the newest.
_GAUGES = {
    metrics.LOADED_MODELS.name: "livesum",
    metrics.MODEL_MEMORY.name: "livesum",
    metrics.CACHE_BYTES.name: "livesum",
    metrics.VERSION_CIRCUIT.name: "livemax",
    metrics.SNAPSHOT_AGE.name: "livemax",
    metrics.PART_OK.name: "livemin",
    metrics.CIRCUIT_STATE.name: "livemax",
    metrics.WORKER_THREADS.name: "livesum",
}


def is_on() -> bool:
    """True in a process that was started as one of several."""
    return bool(os.environ.get(FOLDER))


def background() -> Background:
    flush = Flush()
    return Ticker("metrics", 1.0, flush.tick)


class Flush:
    """Adds what was counted since the last tick. The library's objects belong to no registry: only files are read."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}
        self._counted = Counted(since_start=True)
        self._shown: dict[str, set[Labels]] = {}

    def tick(self) -> None:
        growth = self._counted.taken()
        for name, labels, amount in growth.counters:
            # A child that stands at 0 is made too: an increase is seen only from a number.
            _child(self._object(BY_NAME[name]), labels).inc(amount)
        for name, labels, counts, total in growth.histograms:
            child = _child(self._object(BY_NAME[name]), labels)
            for bucket, count in zip(child._buckets, counts, strict=True):
                if count:
                    bucket.inc(count)
            child._sum.inc(total)
        for metric in metrics.DECLARED:
            if metric.kind == "gauge":
                self._set(metric)
        forget_dead()

    def _set(self, metric: Declared) -> None:
        now = metrics.read_gauge(metric)
        for labels in self._shown.get(metric.name, set()) - set(now):
            _child(self._object(metric), labels).set(0)
        for labels, value in now.items():
            _child(self._object(metric), labels).set(value)
        self._shown[metric.name] = self._shown.get(metric.name, set()) | set(now)

    def _object(self, metric: Declared) -> Any:
        if metric.name not in self._made:
            self._made[metric.name] = _make(metric)
        return self._made[metric.name]


def forget_dead() -> None:
    """Drop the gauges of processes that are gone; any process may do it for all."""
    for path in Path(os.environ[FOLDER]).glob("gauge_live*_*.db"):
        pid = path.stem.rpartition("_")[2]
        if pid.isdecimal() and not Path(f"/proc/{pid}").exists() and not _lives(int(pid)):
            with contextlib.suppress(FileNotFoundError):
                multiprocess.mark_process_dead(int(pid))  # type: ignore[no-untyped-call]


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _make(metric: Declared) -> Any:
    if metric.kind == "counter":
        return Counter(metric.name, metric.help, metric.labels, registry=None)
    if metric.kind == "histogram":
        return Histogram(metric.name, metric.help, metric.labels, buckets=metric.buckets, registry=None)
    mode: Any = _GAUGES.get(metric.name, "livemostrecent")
    return Gauge(metric.name, metric.help, metric.labels, registry=None, multiprocess_mode=mode)


def _child(family: Any, labels: Labels) -> Any:
    return family.labels(*labels) if labels else family
