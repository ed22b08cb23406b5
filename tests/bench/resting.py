"""Waiting until servers have done what the load before left them to do: records to ship, segments to merge."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.launched import below

#: Of one core; the services mode takes about a tenth when nobody asks for anything.
IDLE = 0.3


def until_idle(roots: Sequence[int], *, limit: float = 60.0) -> None:
    """`limit` seconds at most: these processes and all they started take less than `IDLE` of a core for a second."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        before = _cpu_below(roots)
        time.sleep(1.0)
        if _cpu_below(roots) - before < IDLE:
            return


def cpu_of(pid: int) -> float:
    """Seconds of processor that a process has used. Raises `OSError` when it has ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _cpu_below(roots: Sequence[int]) -> float:
    found = 0.0
    for pid in {one for root in roots for one in below(root)}:
        with contextlib.suppress(OSError):  # it has ended
            found += cpu_of(pid)
    return found
