"""Processes, threads and connections follow the cores and memory that this process was granted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from serving_site import capacity

GIB = 2**30


@pytest.mark.parametrize(
    ("cores", "memory", "expected"),
    [(4.0, 16 * GIB, 4), (2.5, 16 * GIB, 2), (0.5, 16 * GIB, 1), (8.0, 2 * GIB, 2), (8.0, GIB // 2, 1)],
)
def test_a_process_per_core_as_far_as_memory_goes(cores: float, memory: int, expected: int) -> None:
    assert capacity.processes(embedded=False, cores=cores, memory=memory) == expected


def test_the_embedded_server_is_one_process() -> None:
    assert capacity.processes(embedded=True, cores=16.0, memory=64 * GIB) == 1


@pytest.mark.parametrize(
    ("processes", "memory", "expected"), [(1, 8 * GIB, 64), (1, GIB // 4, 32), (2, GIB // 4, 16), (4, GIB // 4, 16)]
)
def test_threads_shrink_with_memory(processes: int, memory: int, expected: int) -> None:
    assert capacity.threads(processes, memory=memory) == expected


def test_connections_are_many_times_the_threads() -> None:
    assert capacity.connections(16) == 1024
    assert capacity.connections(256) == 4096


def test_the_limits_of_a_control_group_count(tmp_path: Path) -> None:
    assert capacity.usable_cores(tmp_path) == float(len(os.sched_getaffinity(0)))
    whole = capacity.usable_memory(tmp_path)
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert capacity.usable_cores(tmp_path) == 0.5
    assert capacity.usable_memory(tmp_path) == whole
    (tmp_path / "memory.max").write_text("134217728\n")
    assert capacity.usable_memory(tmp_path) == 134217728


def test_the_older_form_of_a_control_group_counts_too(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "memory").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("-1")
    (tmp_path / "memory/memory.limit_in_bytes").write_text("9223372036854771712")
    assert capacity.usable_cores(tmp_path) == float(len(os.sched_getaffinity(0)))
    whole = capacity.usable_memory(tmp_path)
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("25000")
    (tmp_path / "memory/memory.limit_in_bytes").write_text("67108864")
    assert capacity.usable_cores(tmp_path) == 0.25
    assert capacity.usable_memory(tmp_path) == 67108864 < whole
