"""Memory that large requests leave behind, given back: what only the cycle collector finds, and what malloc keeps.

Frameworks tie each request into a cycle (a DRF request is part of its own parser context), so a body of megabytes lies
around until the oldest generation is collected, which without large garbage in it happens every few thousand requests.
"""

from __future__ import annotations

import ctypes
import gc
import sys

from monitoring.background import Background, Ticker

#: Octets of a body beyond which its request is worth looking after.
LARGE = 256 * 2**10
EVERY_S = 0.5

_left_behind = False


def settle() -> None:
    """Once everything is imported: the collector never looks at it again, so that a full collection takes
    milliseconds instead of a tenth of a second."""
    gc.collect()
    gc.freeze()


def large_request_ended() -> None:
    global _left_behind
    _left_behind = True


def reclaim() -> None:
    """Collect and trim, if a large request has ended since the last time."""
    global _left_behind
    if not _left_behind:
        return
    _left_behind = False
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def background() -> Background:
    return Ticker("memory", EVERY_S, reclaim)
