"""What runs beside the work of each kind of process, and its beginning and end.

web: answers; worker: runs predictions (and, of the queue `operations`, publishing and retention); keeper: nudges again,
ends what is overdue, records and ships logs; beat: asks for what is due. An embedded server is all of them in one
process (`serving_site.embedded`).
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable

from django.conf import settings

import monitoring
from models_registry import publishing, snapshot
from monitoring import health, sampling, spooling
from monitoring.background import Background, Ticker, fresh_connection
from predictions import queued
from serving_site import checks, memory

logger = logging.getLogger(__name__)

#: Seconds that log lines may wait for a keeper of this host before a worker or beat ships them itself.
LOG_PATIENCE_S = 30.0

_lock = threading.Lock()
_running: list[Background] = []


def start(backgrounds: Callable[[], list[Background]]) -> None:
    """Start all of them; a second call does nothing. Exits the process when the settings contradict each other."""
    with _lock:
        if _running:
            return
        problems = checks.impossible_settings()
        if problems:
            sys.exit("\n".join(f"{problem.id}: {problem.msg} {problem.hint}" for problem in problems))
        for background in backgrounds():
            background.start()
            _running.append(background)


def warm(limit_s: float) -> None:
    """Read the registry and load what the aliases point at, or begin without: who needs what is missing waits.

    A server process that took requests before would not know their keys yet.
    """
    try:
        with fresh_connection():
            snapshot.refresh(wait=limit_s)
    except Exception:
        logger.exception("the registry was not read; it is tried again", extra={"action": "background_failed"})


def stop() -> None:
    """Drain within DRAIN_S in all, the last started first; what does not end in time stays in the ledger."""
    health.drain()
    with _lock:
        end = time.monotonic() + settings.SERVING["DRAIN_S"]
        while _running:
            background = _running.pop()
            try:
                background.stop(max(0.1, end - time.monotonic()))
            except Exception:
                logger.exception("%s did not stop cleanly", background.name, extra={"action": "stop_failed"})


def web() -> list[Background]:
    """The keeper of this host records what the server spools."""
    from monitoring import multiprocess
    from serving_site import probes, topology

    own: list[Background] = [*monitoring.log_lines("web"), memory.background(), *spooling.background()]
    own += snapshot.background()
    own += [topology.background(), *probes.background(), sampling.background("web")]
    if multiprocess.is_on():
        own.append(multiprocess.background())
    return own + queued.background("web")


def worker(*, name: str, predicts: bool) -> list[Background]:
    """`predicts`: it consumes queues of predictions, so it needs models, leases and nudges of its own."""
    from serving_site import topology

    logs = [*monitoring.log_shipping(patience_s=LOG_PATIENCE_S), *monitoring.log_lines("worker")]
    own: list[Background] = [topology.background(), sampling.background(f"worker {name}")]
    if not predicts:
        return [*logs, *own]
    from predictions.queued.nudges import PUBLISHER

    return [*logs, *snapshot.background(), PUBLISHER, *own, *queued.background("worker")]


def keeper() -> list[Background]:
    """Several may run: they skip each other's rows, and one of a host reads its spool."""
    from predictions.queued.nudges import PUBLISHER
    from serving_site import dead_letters, topology

    limit_s = settings.SERVING["PUBLISH_LIMIT_S"]
    lost = Ticker("publishing", limit_s / 2, lambda: publishing.resume_interrupted(older_s=limit_s))
    own: list[Background] = [*monitoring.log_shipping(), *monitoring.log_lines("keeper")]
    own += [*snapshot.background(loads=False), topology.background(), PUBLISHER, lost]
    own.append(sampling.background("keeper"))
    return [*own, *monitoring.recording(), *queued.background("keeper"), dead_letters.DeadLetters()]


def beat() -> list[Background]:
    """It only asks for what is due."""
    return [*monitoring.log_shipping(patience_s=LOG_PATIENCE_S), *monitoring.log_lines("beat")]
