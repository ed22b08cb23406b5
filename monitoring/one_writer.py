"""One writer at a time, where the database knows one only: SQLite's own lock is polled with growing pauses, unfairly.

The threads of a process queue here instead, whichever room they write for; other processes still meet SQLite's lock.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError, connection, transaction

#: Seconds a writer waits for the one before it; beyond it the database counts as locked.
WAIT_S = 5.0

_writer = threading.Lock()
_holds = threading.local()


@contextmanager
def writing() -> Iterator[None]:
    """One short write transaction; within another one of this thread a part of it.

    Raises `OperationalError` when the lock is not had in time.
    """
    if connection.vendor != "sqlite" or getattr(_holds, "it", False):
        with transaction.atomic():
            yield
        return
    if not _writer.acquire(timeout=WAIT_S):
        raise OperationalError("database is locked: another writer did not finish in time")
    _holds.it = True
    try:
        with transaction.atomic():
            yield
    finally:
        _holds.it = False
        _writer.release()
