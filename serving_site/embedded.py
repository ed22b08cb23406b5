"""Everything that runs beside the requests when one process is the whole product.

`start` is called once in the server's worker process (never in the supervisor, never at import): it returns what a
killed server left running, starts the rooms' own threads, and one Celery worker per queue on the memory transport.
`stop` ends them in the opposite order: no new work first, then what commits and records it.
"""

from __future__ import annotations

import logging

from django.conf import settings

import monitoring
from models_registry import publishing, snapshot
from monitoring import sampling, spooling, working
from monitoring.background import Background, fresh_connection
from predictions import queued
from predictions.queued import ledger
from serving_site import housekeeping, memory, probes, processes
from serving_site.celery import CeleryThread

logger = logging.getLogger(__name__)

#: Celery threads per queue: publishing waits for its model's process, so a second can go on beside it.
OPERATIONS_THREADS = 2

stop = processes.stop


def start() -> None:
    """Start all of it; a second call does nothing. Exits the process when the settings contradict each other."""
    processes.start(_backgrounds_after_a_kill)
    _resume_publishing()


def _backgrounds_after_a_kill() -> list[Background]:
    with fresh_connection():
        returned = ledger.return_running()
    if returned:
        logger.info("returned %s running predictions to waiting", returned, extra={"action": "returned_running"})
    return backgrounds()


def _resume_publishing() -> None:
    """Enqueue what a killed server was publishing; its messages died with it. No reason for a server not to start."""
    try:
        with fresh_connection():
            resumed = publishing.resume_interrupted()
    except Exception:
        logger.exception("publishing was not taken up again", extra={"action": "resume_failed"})
        return
    if resumed:
        logger.info("took up the publishing of %s versions again", resumed, extra={"action": "resumed_publishing"})


def backgrounds() -> list[Background]:
    """What runs, in the order of starting: those who record before those who make something to record."""
    # First, and stopped last: it is forked from a process in which nothing else runs yet.
    own: list[Background] = [
        *monitoring.recording_apart(),
        *monitoring.log_shipping(),
        *monitoring.log_lines("server"),
        memory.background(),
    ]
    own += [*spooling.background(), *snapshot.background()]
    own += probes.background()
    for role in ("web", "worker", "keeper"):
        own += queued.background(role)
    return [*own, sampling.background("server"), housekeeping.background(), *celery_threads()]


def celery_threads() -> list[Background]:
    """One worker per priority and pool, so that an interactive nudge never waits behind a bulk one, and operations."""
    threads: list[Background] = [
        CeleryThread(f"predictions.{pool}.{priority}", concurrency=1)
        for pool in settings.POOLS
        for priority in settings.PRIORITIES
    ]
    working.threads = len(threads)
    return [*threads, CeleryThread(settings.OPERATIONS_QUEUE, concurrency=OPERATIONS_THREADS)]
