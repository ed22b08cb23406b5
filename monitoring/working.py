"""How busy the threads of a worker are: seconds spent on batches, and how many threads there are to spend them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from monitoring import metrics

#: Threads of this process that take batches; whoever starts them says how many.
threads = 0


@contextmanager
def busy() -> Iterator[None]:
    """Around one batch."""
    began = time.monotonic()
    try:
        yield
    finally:
        metrics.count(metrics.WORKER_BUSY, amount=time.monotonic() - began)


def shown() -> dict[metrics.Labels, float]:
    return {(): threads} if threads else {}
