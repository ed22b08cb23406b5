"""What this process says of itself every few seconds, kept in the database for the pages that draw it over time.

Samples are thinned as they age: every one for two hours, one in five minutes for a day, one in an hour for a week.
So each process has about a thousand rows, however long it runs. Only numbers without a version's labels are kept,
or their sums: the rest is in the records.
"""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone

from monitoring import health, metrics
from monitoring.background import Background, Ticker
from monitoring.metrics import Declared
from monitoring.models import Sample

EVERY_S = 15.0
#: `lasting` → (seconds from one such sample to the next, how long they are kept).
LASTING = (
    (EVERY_S, timedelta(hours=2)),
    (300.0, timedelta(hours=26)),
    (3600.0, timedelta(days=8)),
)
#: Labels of one metric that are told apart.
MOST_LABELS = 64
#: Histograms whose sums over all versions are kept.
_KEPT = (metrics.QUEUE_SECONDS, metrics.INFERENCE_SECONDS, metrics.BATCH_ROWS)
_PAGE = os.sysconf("SC_PAGE_SIZE")


def background(name: str) -> Background:
    """The sampler of this process; `name` says what kind of process it is."""
    return Ticker("samples", EVERY_S, Sampler(name).tick)


class Sampler:
    """Writes one sample per tick, and drops what is too old each time it writes a lasting one."""

    def __init__(self, name: str) -> None:
        self._name = name[:64]
        self._host = socket.gethostname()[:128]
        self._stretches = [-1] * len(LASTING)
        self._cpu = (time.monotonic(), time.process_time())

    def tick(self) -> None:
        now = timezone.now()
        lasting = self._lasting(now)
        Sample.objects.create(
            at=now, name=self._name, host=self._host, pid=os.getpid(), lasting=lasting, figures=self.figures()
        )
        if lasting:
            forget(now)

    def figures(self) -> dict[str, Any]:
        """Everything of this moment; sizes in bytes, times in seconds, `cpu` in cores."""
        said = health.report()
        return {
            **_resources(),
            "cpu": self._cores(),
            "gauges": {item.name: _sums(item, metrics.read_gauge(item)) for item in _of_kind("gauge")},
            "counters": {item.name: _sums(item, metrics.counted(item)) for item in _of_kind("counter")},
            "histograms": {item.name: _added(metrics.seen(item).values(), item) for item in _KEPT},
            "health": said["status"],
            "parts": {name: [part["state"], part["detail"][:200]] for name, part in said["parts"].items()},
        }

    def _lasting(self, now: datetime) -> int:
        """How long this sample is worth keeping: it is the first of its process in five minutes, or in an hour."""
        found = 0
        for level, (every_s, _) in enumerate(LASTING):
            stretch = int(now.timestamp() // every_s)
            if stretch != self._stretches[level]:
                self._stretches[level], found = stretch, level
        return found

    def _cores(self) -> float:
        """Processor time per second since the sample before."""
        then, used = self._cpu
        self._cpu = time.monotonic(), time.process_time()
        return round((self._cpu[1] - used) / max(1e-3, self._cpu[0] - then), 4)


def forget(now: datetime) -> None:
    """Drop what its `lasting` no longer keeps."""
    for level, (_, kept) in enumerate(LASTING):
        Sample.objects.filter(lasting=level, at__lt=now - kept).delete()


def _of_kind(kind: str) -> Iterable[Declared]:
    return (item for item in metrics.DECLARED if item.kind == kind)


def _sums(metric: Declared, reading: Mapping[tuple[str, ...], float]) -> dict[str, float]:
    """Values by label, joined with a blank; those of all projects, models and versions are added up."""
    places = [place for place, label in enumerate(metric.labels) if label not in ("project", "model", "version")]
    sums: dict[str, float] = {}
    for labels, value in reading.items():
        name = " ".join(labels[place] for place in places)
        if name in sums or len(sums) < MOST_LABELS:
            sums[name] = sums.get(name, 0.0) + value
    return sums


def _added(children: Iterable[tuple[list[int], float]], metric: Declared) -> list[float]:
    """Numbers per bucket over all versions, then the sum of the values."""
    counts, total = [0.0] * (len(metric.buckets) + 1), 0.0
    for child, amount in children:
        counts = [before + more for before, more in zip(counts, child, strict=True)]
        total += amount
    return [*counts, total]


def _resources() -> dict[str, float]:
    disk = shutil.disk_usage(settings.DATA_DIR)
    return {
        "memory": _memory(),
        "threads": threading.active_count(),
        "load": os.getloadavg()[0],
        "cores": os.cpu_count() or 1,
        "disk_free": disk.free,
        "disk_total": disk.total,
    }


def _memory() -> int:
    """Resident bytes; where there is no /proc, the most there ever were."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
