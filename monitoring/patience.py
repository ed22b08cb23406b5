"""How long this thread waits for one answer of the database; where nothing is said, as long as connections do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_of_thread = threading.local()


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Within the block one answer is waited for no longer than this; a shorter time outside stays."""
    before = getattr(_of_thread, "seconds", None)
    _of_thread.seconds = seconds if before is None else min(before, seconds)
    try:
        yield
    finally:
        _of_thread.seconds = before


def seconds(default: float) -> float:
    """Seconds this thread waits now."""
    said = getattr(_of_thread, "seconds", None)
    return default if said is None else min(default, max(0.05, said))
