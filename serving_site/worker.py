"""A worker process of the services mode: `celery -A serving_site worker -P threads -Q predictions.default.standard`.

What runs beside its tasks begins before it consumes and ends after its last task. A running task gets DRAIN_S at the
end; then its rows go back to waiting, its message back to the broker, and its late answer is refused by the fence.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from celery import Celery, bootsteps, signals

from monitoring import working
from serving_site import env, processes

logger = logging.getLogger(__name__)

#: Seconds between two touches of the liveness file by the consumer's loop.
TOUCH_EVERY_S = 5.0
#: Seconds the first snapshot may take before messages are taken all the same.
WARM_S = 30.0


def connect(app: Celery) -> None:
    """Make workers of this app start and stop what is ours; called in every process, works in workers only."""
    signals.worker_init.connect(_begin_worker, weak=False)
    signals.worker_shutting_down.connect(_bound_the_end, weak=False)
    signals.worker_shutdown.connect(_end, weak=False)
    # Django has set up how everything logs; Celery would change levels and formats.
    signals.setup_logging.connect(_leave_logging_alone, weak=False)
    signals.beat_init.connect(_begin_beat, weak=False)
    signals.task_postrun.connect(touch, weak=False)
    app.steps["consumer"].add(Liveness)


class Liveness(bootsteps.StartStopStep):
    """Touches the file from the timer that the consumer's loop drives: a loop that hangs leaves it old."""

    requires = ("celery.worker.consumer.connection:Connection",)

    def start(self, parent: Any) -> None:
        touch()
        parent.timer.call_repeatedly(TOUCH_EVERY_S, touch)


def touch(**_: Any) -> None:
    if env.LIVENESS_FILE:
        Path(env.LIVENESS_FILE).touch()


def serve_metrics() -> None:
    """This process's numbers on a port of its own, where one is set."""
    if env.METRICS_PORT:
        from prometheus_client import start_http_server

        start_http_server(env.METRICS_PORT, addr=env.METRICS_HOST)


def _leave_logging_alone(**_: Any) -> None:
    """A receiver is all that Celery asks for."""


@contextlib.contextmanager
def _whole_or_not_at_all(what: str) -> Iterator[None]:
    """Celery would log what a receiver raises and go on, with half of this process missing. So it ends instead."""
    try:
        yield
    except Exception:
        logger.critical("the %s did not start", what, extra={"action": f"{what}_not_started"}, exc_info=True)
        raise SystemExit(1) from None


@_whole_or_not_at_all("beat")
def _begin_beat(**_: Any) -> None:
    processes.start(processes.beat)
    atexit.register(processes.stop)


@_whole_or_not_at_all("worker")
def _begin_worker(sender: Any, **_: Any) -> None:
    queues = sender.app.amqp.queues.consume_from
    predicts = any(name.startswith("predictions.") for name in queues)
    if predicts:
        working.threads = sender.concurrency
    serve_metrics()
    name = ", ".join(sorted(queue.rpartition(".")[2] for queue in queues))
    processes.start(lambda: processes.worker(name=name, predicts=predicts))
    if predicts:
        processes.warm(WARM_S)


def _bound_the_end(**_: Any) -> None:
    timer = threading.Timer(env.DRAIN_S, _give_up)
    timer.daemon = True
    timer.start()


def _give_up() -> None:
    """Tasks that still run are threads, which nothing can end: their rows are given back and the process goes."""
    logger.warning("tasks still run after %s s; they are given back", env.DRAIN_S, extra={"action": "given_back"})
    processes.stop()
    os._exit(0)


def _end(**_: Any) -> None:
    processes.stop()
