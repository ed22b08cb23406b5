"""How much a server takes on by default: processes from cores, threads from memory, connections from threads.

Reads what the kernel grants this process (cgroup v2 or v1, CPU affinity), not what the machine has: in a container of
two cores of a large host, a process per core of the host would only fight over the two.
"""

from __future__ import annotations

import os
from pathlib import Path

#: Resident memory of one server process with its models and a few large requests, in bytes.
PER_PROCESS = 768 * 2**20
#: Memory that one more thread may come to need while it holds a large request, in bytes.
PER_THREAD = 8 * 2**20
FEWEST_THREADS, MOST_THREADS = 16, 64
#: Connections per thread: most of them are idle, or wait for a turn that takes well under a millisecond.
PER_THREAD_CONNECTIONS = 16
FEWEST_CONNECTIONS = 1024

#: A limit at or beyond this is none: cgroup v1 writes "no limit" as nearly 2**63.
_NO_LIMIT = 2**60


def processes(*, embedded: bool, cores: float | None = None, memory: int | None = None) -> int:
    """Server processes: one when it is the whole product, else one per whole core that memory allows."""
    if embedded:
        return 1
    cores, memory = usable_cores() if cores is None else cores, usable_memory() if memory is None else memory
    return max(1, min(int(cores), memory // PER_PROCESS))


def threads(processes: int, *, memory: int | None = None) -> int:
    """Blocking threads of each process: 64, fewer where memory is scarce."""
    memory = usable_memory() if memory is None else memory
    return max(FEWEST_THREADS, min(MOST_THREADS, memory // processes // PER_THREAD))


def connections(threads: int) -> int:
    """Connections a process serves at once; those beyond wait to be accepted."""
    return max(FEWEST_CONNECTIONS, threads * PER_THREAD_CONNECTIONS)


def usable_cores(root: Path = Path("/sys/fs/cgroup")) -> float:
    """Cores that this process may use: its affinity, or the share of CPU time its cgroup grants, if that is less."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, period = (_words(root / "cpu.max") or ["max", ""])[:2]
    if quota == "max":
        quota = (_words(root / "cpu/cpu.cfs_quota_us") or ["-1"])[0]
        period = (_words(root / "cpu/cpu.cfs_period_us") or ["100000"])[0]
    if not (quota.isdigit() and period.isdigit() and int(period)):
        return float(allowed)
    return min(float(allowed), int(quota) / int(period))


def usable_memory(root: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that this process may use: the machine's, or its cgroup's, if that is less."""
    found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for file in ("memory.max", "memory/memory.limit_in_bytes"):
        limit = (_words(root / file) or ["max"])[0]
        if limit.isdigit() and int(limit) < _NO_LIMIT:
            found = min(found, int(limit))
    return found


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []
