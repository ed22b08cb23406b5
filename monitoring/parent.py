"""A process that must not outlive its parent."""

from __future__ import annotations

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Let the kernel kill this process when its parent ends (prctl(2), PR_SET_PDEATHSIG). Nothing where no kernel does
    that; and a parent that has ended before is the caller's to find, by `os.getppid()`."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
