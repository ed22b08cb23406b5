"""The Celery app: queues and routes come from settings, tasks from the rooms; and its workers as threads."""

from __future__ import annotations

import logging
import os
import threading
from functools import partial
from typing import Any
from uuid import uuid4

from amqp.exceptions import AMQPError
from celery import Celery, signals
from celery.worker import state as worker_state
from kombu.exceptions import OperationalError

from monitoring.guards import Guard
from monitoring.health import LIMIT_S, Part, State
from serving_site import memory_transport

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "serving_site.settings")

# Two lines per message say nothing that the ledger's own lines and the task results do not.
for chatty in ("celery.worker.strategy", "celery.app.trace", "celery.worker.consumer.connection"):
    logging.getLogger(chatty).setLevel(logging.WARNING)
# "No hostname was supplied": the memory transport has none.
logging.getLogger("kombu.connection").setLevel(logging.ERROR)

ROOMS_WITH_TASKS = ["predictions.queued", "models_registry.publishing", "monitoring"]


#: Seconds a worker waits before it looks for a broker that has gone, at first and at most. Celery's own wait grows to
#: half a minute, in which a broker that is back has nobody to give its messages to.
LOOK_AGAIN_S, LOOK_AGAIN_AT_MOST_S = 0.5, 2.0


#: Every publisher's connection and message: refused at once while RabbitMQ is away.
GUARD = Guard("rabbitmq", refusal=OperationalError, is_failure=lambda error: _is_away(error))


def _is_away(error: BaseException) -> bool:
    """A message that its queue refused (an error without words) is an answer."""
    if isinstance(error, OperationalError):
        return bool(str(error))
    return isinstance(error, OSError | AMQPError)


class App(Celery):
    """Consumes without a read time-out, which only publishers have: a quiet queue is no fault.

    Publishers go through the guard: `connection_for_write` gives what they connect with, `send_task` is what they send.
    However few retries they wish for, each node of a cluster is tried once: the first may be the one that died.
    """

    def connection_for_write(self, *args: Any, **options: Any) -> Any:
        connection: Any = super().connection_for_write(*args, **options)
        connect = connection.ensure_connection

        def ensure_connection(*args: Any, max_retries: int | None = None, **options: Any) -> Any:
            if max_retries is not None:
                max_retries = max(max_retries, len(connection.alt) - 1)
            with GUARD.call():
                return connect(*args, max_retries=max_retries, **options)

        connection.ensure_connection = ensure_connection
        return connection

    def send_task(self, *args: Any, **options: Any) -> Any:
        with GUARD.call():
            return super().send_task(*args, **options)

    def send_ids(self, name: str, arguments: tuple[Any, ...], *, queue: str, producer: Any, **options: Any) -> None:
        """`send_task` for a task whose queue is known and declared and whose result nobody keeps: the same message in a
        quarter of the time, because nothing is looked up for it (its route, settings, what to declare)."""
        target, task = self.amqp.queues[queue], str(uuid4())
        message = self.amqp.as_task_v2(
            task, name, args=arguments, kwargs={}, argsrepr="…", root_id=task, ignore_result=True
        )
        with GUARD.call():
            producer.publish(
                message.body,
                exchange=target.exchange.name,
                routing_key=target.routing_key,
                serializer="json",
                delivery_mode="persistent",
                headers=message.headers,
                **message.properties,
                **options,
            )

    def connection_for_read(self, url: Any = None, **options: Any) -> Any:
        unlimited = {"read_timeout": None, "write_timeout": None}
        connection: Any = super().connection_for_read(url, **{"transport_options": unlimited, **options})
        connection.ensure_connection = partial(
            connection.ensure_connection,
            **{"interval_start": LOOK_AGAIN_S, "interval_step": LOOK_AGAIN_S, "interval_max": LOOK_AGAIN_AT_MOST_S},
        )
        return connection


def make_app(*, current: bool) -> Celery:
    made = App("serving_site", set_as_current=current)
    made.config_from_object("django.conf:settings", namespace="CELERY")
    made.autodiscover_tasks(ROOMS_WITH_TASKS)
    return made


app = make_app(current=True)


class Question:
    """Asks RabbitMQ for a channel, on a connection of its own."""

    def __init__(self) -> None:
        self._connection: Any = None

    def ask(self) -> Part:
        """Raises what kombu or the socket says when it was not reached or did not answer in time."""
        try:
            with self._connected().channel():
                return Part(State.OK, "amqp")
        except Exception:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.collect(socket_timeout=0.1)  # not close(): it would wait for a frozen broker to agree
            raise

    def _connected(self) -> Any:
        if self._connection is None:
            limit = 0.9 * LIMIT_S
            waits = {"connect_timeout": limit, "read_timeout": limit, "write_timeout": limit}
            connection = app.connection_for_write(transport_options=waits, heartbeat=0)
            connection.ensure_connection(max_retries=0, timeout=1)
            self._connection = connection
        return self._connection


@signals.task_prerun.connect
@signals.task_postrun.connect
def close_dead_connections(**_: Any) -> None:
    """Around every task, as Django does around every request; a worker started as a thread has no such hook of its own.

    Celery's own hook closes the connection outright, which costs a reconnect per task.
    """
    from django.db import close_old_connections

    close_old_connections()


class CeleryThread:
    """One Celery worker for one queue in a thread of this process, on the memory transport.

    Each has an app of its own: which queues a worker consumes is state of the app, not of the worker.
    """

    def __init__(self, queue: str, *, concurrency: int) -> None:
        self.name = f"celery-{queue}"
        self._queue = queue
        self._concurrency = concurrency
        self._thread: threading.Thread | None = None
        self._worker: Any = None

    def start(self) -> None:
        worker_state.should_stop = None  # a stop before this start is over
        memory_transport.ARRIVALS.close(False)
        self._worker = make_app(current=False).WorkController(
            hostname=f"{self._queue}@embedded",
            queues=[self._queue],
            pool_cls="threads",
            concurrency=self._concurrency,
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            quiet=True,
        )
        self._thread = threading.Thread(target=self._worker.start, name=self.name, daemon=True)
        self._thread.start()

    def runs(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def stop(self, timeout: float) -> None:
        """Take no more messages and let the running task end. Stops every Celery thread of the process at once."""
        worker_state.should_stop = 0  # type: ignore[assignment]  # its stubs know None alone
        memory_transport.ARRIVALS.close(True)
        if self._thread is not None:
            self._thread.join(timeout)
