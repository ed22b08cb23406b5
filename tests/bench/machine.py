"""The machine a run is made on: its cores, who runs on which, and the versions that took part."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
#: Everything a run installs, trains and logs; never committed.
WORKSHOP = ROOT / "var" / "bench"
CORES = sorted(os.sched_getaffinity(0))
#: Whoever answers runs on the first core, whoever asks on the second.
SERVER_CORE, CLIENT_CORE = CORES[0], CORES[-1]
#: Most seconds a peer may take to train or save its models, and to answer rightly after its start.
TRAIN_S = START_S = 300.0
PACKAGES = ("django", "granian", "celery", "onnxruntime", "numpy", "psycopg", "redis", "elasticsearch")


def on_core(core: int | None, command: Sequence[str]) -> list[str]:
    """The command, tied to one core; None leaves it on all."""
    return list(command) if core is None else ["taskset", "-c", str(core), *command]


def facts() -> dict[str, Any]:
    """Cores, processor, memory in GiB, and the versions of what we run on."""
    return {
        "cores": len(CORES),
        "processor": _first("/proc/cpuinfo", "model name"),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
    }


def load() -> float:
    """Processes that wanted a core over the last minute: well above the cores' count, a run is not quiet."""
    return os.getloadavg()[0]


def _first(path: str, name: str) -> str:
    lines = Path(path).read_text().splitlines() if Path(path).exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "unknown")
