"""How the soak judges memory."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys

from tests.chaos.memory import Sample, growth_of_second_half, held, libraries, packages, resident

MB = 10**6


def test_memory_that_settles_counts_as_flat() -> None:
    samples = [Sample(answers, 30 * MB, min(answers, 500) * MB) for answers in range(0, 1001, 100)]
    assert growth_of_second_half(samples) == 0


def test_memory_that_keeps_growing_is_found() -> None:
    samples = [Sample(answers, 30 * MB, answers * MB) for answers in range(0, 1001, 100)]
    assert growth_of_second_half(samples) == 500 * MB


def test_a_library_is_known_by_what_is_mapped() -> None:
    line = "7f00-7f01 r-xp 00000000 fe:00 1 /venv/lib/python3.11/site-packages/sklearn/tree/_tree.so"
    assert packages([line, "7f02-7f03 rw-p 0 00:00 0 [heap]"]) == {"sklearn"}


def test_this_very_process_can_be_read() -> None:
    assert 1.1 * resident(os.getpid()) > held(os.getpid()) > 10 * MB
    assert isinstance(libraries(os.getpid()), set)


def test_memory_that_a_forked_process_shares_counts_once() -> None:
    waits, ends = os.pipe()
    alone = held(os.getpid())
    if (child := os.fork()) == 0:
        os.read(waits, 1)
        os._exit(0)
    try:
        together = held(os.getpid())
    finally:
        os.write(ends, b"!")
        os.waitpid(child, 0)
        os.close(waits)
        os.close(ends)
    assert together < 1.5 * alone


def test_a_program_outside_that_maps_the_same_libraries_changes_nothing() -> None:
    importlib.import_module("onnxruntime")
    assert "onnxruntime" in libraries(os.getpid())
    script = "import onnxruntime; print('mapped', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        beside = held(os.getpid())
        other.communicate(b"\n", timeout=10)
    assert abs(held(os.getpid()) - beside) < 1 * MB
