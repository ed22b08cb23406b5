"""Everything that runs beside the requests when one process is the whole product.

`start` is called once in the server's worker process (never in the supervisor, never at import): it returns what a
killed server left running, starts the rooms' own threads, and one Celery worker per queue on the memory transport.
`stop` ends them in the opposite order: no new work first, then what commits and records it.
"""

from __future__ import annotations

import logging
import sys
import threading
import time

from django.conf import settings

import monitoring
from models_registry import snapshot
from monitoring.background import Background, fresh_connection
from predictions import queued
from predictions.queued import ledger
from serving_site import checks
from serving_site.celery import CeleryThread

logger = logging.getLogger(__name__)

#: Celery threads per queue: publishing waits for its model's process, so a second can go on beside it.
OPERATIONS_THREADS = 2

_lock = threading.Lock()
_running: list[Background] = []


def start() -> None:
    """Start all of it; a second call does nothing. Exits the process when the settings contradict each other."""
    with _lock:
        if _running:
            return
        _refuse_impossible_settings()
        with fresh_connection():
            returned = ledger.return_running()
        if returned:
            logger.info("returned %s running predictions to waiting", returned, extra={"action": "returned_running"})
        for background in backgrounds():
            background.start()
            _running.append(background)


def backgrounds() -> list[Background]:
    """What runs, in the order of starting: those who record before those who make something to record."""
    own: list[Background] = [*monitoring.background(), *snapshot.background()]
    for role in ("web", "worker", "keeper"):
        own += queued.background(role)
    return own + celery_threads()


def celery_threads() -> list[Background]:
    """One worker per priority and pool, so that an interactive nudge never waits behind a bulk one, and operations."""
    threads: list[Background] = [
        CeleryThread(f"predictions.{pool}.{priority}", concurrency=1)
        for pool in settings.POOLS
        for priority in settings.PRIORITIES
    ]
    return [*threads, CeleryThread(settings.OPERATIONS_QUEUE, concurrency=OPERATIONS_THREADS)]


def stop() -> None:
    """Drain within DRAIN_S in all; what does not end in time stays in the ledger and is returned at the next start."""
    with _lock:
        end = time.monotonic() + settings.SERVING["DRAIN_S"]
        while _running:
            background = _running.pop()
            try:
                background.stop(max(0.1, end - time.monotonic()))
            except Exception:
                logger.exception("%s did not stop cleanly", background.name, extra={"action": "stop_failed"})


def _refuse_impossible_settings() -> None:
    problems = checks.impossible_settings()
    if problems:
        sys.exit("\n".join(f"{problem.id}: {problem.msg} {problem.hint}" for problem in problems))
