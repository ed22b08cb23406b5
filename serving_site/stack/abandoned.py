"""A stack that was killed leaves its servers and processes running; the next one on its folder ends them first.

They are known by a variable of their environment that all of them inherit. Read where there is a /proc: on Linux.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

#: Seconds they get to end by themselves, all at once, before they are killed.
PATIENCE_S = 30.0
_LOOK_S = 0.1
_NAME = "STACK_OF"


def mark(root: Path) -> None:
    """Whatever this process starts from now on belongs to this folder."""
    os.environ[_NAME] = str(root)


def end(root: Path) -> int:
    """End what is left of the folder's stack before; return how many processes that were."""
    left = _left(root)
    _signal(left, signal.SIGTERM)
    until = time.monotonic() + PATIENCE_S
    while (running := _left(root)) and time.monotonic() < until:
        time.sleep(_LOOK_S)
    _signal(running, signal.SIGKILL)
    return len(left)


def _left(root: Path) -> list[int]:
    marked = f"{_NAME}={root}".encode()
    return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/environ") if marked in _variables(path)]


def _variables(path: Path) -> list[bytes]:
    """Empty for a process that has ended, or is another account's."""
    with suppress(OSError):
        return path.read_bytes().split(b"\0")
    return []


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
