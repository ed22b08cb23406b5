"""What `/metrics` shows: the numbers of this process, or of all processes of this server as one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from prometheus_client import REGISTRY as OWN
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from monitoring import multiprocess

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

#: How the processes' own figures become one; what has no meaning as a sum is that of the one that has least.
_ONE_OF: dict[str, Callable[[Iterable[float]], float]] = {"process_start_time_seconds": min, "process_max_fds": min}


def page() -> bytes:
    """The metrics in Prometheus' text format."""
    return generate_latest(registry())


def registry() -> CollectorRegistry:
    """Several processes are read from the files they share, where prometheus_client leaves out what a process uses."""
    if not multiprocess.is_on():
        return OWN
    made = CollectorRegistry()
    MultiProcessCollector(made)  # type: ignore[no-untyped-call]
    made.register(Processes(Path(os.environ[multiprocess.FOLDER])))
    return made


class Processes(Collector):
    """CPU, memory and open files of the processes that share a folder of metrics, added up.

    CPU is that of living processes: when one is replaced the sum falls, which Prometheus takes for a restart.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        found: dict[str, list[Metric]] = {}
        for pid in self.pids():
            with contextlib.suppress(OSError):
                for family in ProcessCollector(pid=lambda pid=pid: pid, registry=None).collect():  # type: ignore[misc]
                    found.setdefault(family.name, []).append(family)
        for families in found.values():
            yield _as_one(families)

    def pids(self) -> list[int]:
        """Ids of the living processes that left their gauges in the folder."""
        named = {path.stem.rpartition("_")[2] for path in self._folder.glob("gauge_live*_*.db")}
        return sorted(int(pid) for pid in named if pid.isdecimal() and Path(f"/proc/{pid}").exists())


def _as_one(families: list[Metric]) -> Metric:
    first = families[0]
    samples = [sample for family in families for sample in family.samples]
    value = _ONE_OF.get(samples[0].name, sum)([sample.value for sample in samples])
    if first.type == "counter":
        return CounterMetricFamily(first.name, first.documentation, value=value)
    return GaugeMetricFamily(first.name, first.documentation, value=value)
