"""Metrics of several processes are one sum; what a dead process counted stays, its gauges go."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from tests.running import ROOT

COUNTS = """
    from django.conf import settings
    settings.configure()
    from monitoring import metrics, multiprocess
    flush = multiprocess.Flush()
    metrics.provide(metrics.LOADED_MODELS, lambda: {(): 4})
    version = ("demo", "iris", "1", "oip")
    for seconds in (0.0004, 0.3):
        metrics.observe(metrics.INFERENCE_SECONDS, version, seconds)
    metrics.count(metrics.RETRIES, amount=2)
    flush.tick()
    metrics.count(metrics.RETRIES)
    metrics.observe(metrics.INFERENCE_SECONDS, version, 0.0004)
    flush.tick()
    flush.tick()
"""
READS = """
    import json
    from prometheus_client import CollectorRegistry
    from prometheus_client.multiprocess import MultiProcessCollector
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    names = ["serving_retries_total", "serving_loaded_models", "serving_lease_expiries_total"]
    found = {name: registry.get_sample_value(name) for name in names}
    found["lost"] = registry.get_sample_value("serving_records_total", {"outcome": "lost"})
    labels = {"project": "demo", "model": "iris", "version": "1", "protocol": "oip"}
    for bound in ("0.0005", "0.25", "0.5", "+Inf"):
        found[bound] = registry.get_sample_value("serving_inference_seconds_bucket", {**labels, "le": bound})
    found["sum"] = registry.get_sample_value("serving_inference_seconds_sum", labels)
    print(json.dumps(found))
"""
USES = """
    import json, os, resource, time
    from django.conf import settings
    settings.configure()
    from monitoring import exposition, metrics, multiprocess
    metrics.provide(metrics.LOADED_MODELS, lambda: {(): 4})
    ready, wait = os.pipe(), os.pipe()
    if not os.fork():
        multiprocess.Flush().tick()
        os.write(ready[1], b"1")
        os.read(wait[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    multiprocess.Flush().tick()
    registry = exposition.registry()
    names = ["process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds", "process_max_fds"]
    found = {name: registry.get_sample_value(name) for name in names}
    found["one"] = int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    found["limit"] = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    found["pids"] = len(exposition.Processes(multiprocess.Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])).pids())
    os.write(wait[1], b"1")
    print(json.dumps(found))
"""


def run(code: str, folder: Path) -> str:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def read(folder: Path) -> dict[str, Any]:
    return dict(json.loads(run(READS, folder)))


def test_processes_add_up_and_a_flush_adds_only_what_is_new(tmp_path: Path) -> None:
    run(COUNTS, tmp_path)
    run(COUNTS, tmp_path)
    found = read(tmp_path)
    assert found["serving_retries_total"] == 6
    assert (found["0.0005"], found["0.25"], found["0.5"], found["+Inf"]) == (4, 4, 6, 6)
    assert (found["serving_lease_expiries_total"], found["lost"]) == (0, 0)
    assert abs(found["sum"] - 2 * 0.3008) < 1e-9


def test_what_the_processes_use_is_shown_as_one(tmp_path: Path) -> None:
    found = json.loads(run(USES, tmp_path))
    assert found["pids"] == 2
    assert found["process_resident_memory_bytes"] > 1.2 * found["one"]
    assert found["process_cpu_seconds_total"] > 0
    assert found["process_open_fds"] > 4
    assert found["process_max_fds"] == found["limit"]


def test_the_gauges_of_a_dead_process_go(tmp_path: Path) -> None:
    run(COUNTS, tmp_path)
    assert read(tmp_path)["serving_loaded_models"] == 4
    run("from monitoring import multiprocess; multiprocess.forget_dead()", tmp_path)
    found = read(tmp_path)
    assert found["serving_loaded_models"] is None
    assert found["serving_retries_total"] == 3
