"""Celery only: a task carries ids and claims their rows; what it does is in `execution` and `keeper`."""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

from amqp.exceptions import MessageNacked
from celery import Task, current_app, shared_task
from celery.exceptions import Reject
from django.conf import settings

from monitoring import working
from predictions.queued import execution, keeper, scrubbing
from predictions.queued.nudges import PUBLISHER, Message, NotTaken

logger = logging.getLogger(__name__)

#: Version of the payload. A worker that does not know it rejects the message; the keeper nudges the row again.
PAYLOAD = 1


@shared_task(name="predictions.run", ignore_result=True, bind=True)
def run(self: Task[..., None], v: int, ids: list[str]) -> None:
    """Run these predictions. Delivered at least once: rows that another worker holds or ended are not claimed."""
    if v != PAYLOAD:
        raise Reject(f"payload {v} is not known here", requeue=False)
    try:
        with working.busy():
            execution.run([UUID(hex=identifier) for identifier in ids])
    except BaseException:
        # Whatever happened, the thread lives and the message is acked: the rows' leases end, and the keeper judges.
        logger.exception("a batch was given up; its leases expire", extra={"action": "batch_given_up"})
    finally:
        PUBLISHER.done((self.request.delivery_info or {}).get("routing_key") or "")


@shared_task(name="predictions.purge_ledger")
def purge_ledger() -> int:
    """Drop rows past retention whose records were found in the store; returns how many."""
    return keeper.purge()


@shared_task(name="predictions.protect_answers")
def protect_answers() -> int:
    """Protect outputs that their clients had time to fetch, as their models' privacy says; returns how many rows."""
    return scrubbing.scrub_outputs()


@shared_task(name="predictions.purge_records_of_models")
def purge_records_of_models() -> int:
    """Drop records of models that keep them for less time than the site; returns how many."""
    return keeper.purge_records_of_models()


def send(message: Message) -> None:
    """Publish one nudge and have it confirmed.

    Raises `NotTaken` when the broker refused it, which another try would not change, and what kombu, amqp or the
    socket says when it was not reached or did not answer.
    """
    arguments = (PAYLOAD, [identifier.hex for identifier in message.ids])
    if settings.EMBEDDED:
        options: dict[str, Any] = {"queue": message.queue, "retry": False, "argsrepr": "…"}
        run.apply_async(arguments, **options)
        return
    app: Any = current_app
    try:
        app.send_ids(run.name, arguments, queue=message.queue, producer=_SENDER.producer(message.queue), mandatory=True)
    except Exception as error:
        # A channel that has failed once may swallow what follows: the next message gets a fresh connection.
        _SENDER.close()
        if isinstance(error, MessageNacked):
            raise NotTaken(f"{message.queue} takes no more") from error
        raise


class _Sender:
    """A connection that only sends nudges, with confirms and short time-outs; used by one thread of the process."""

    def __init__(self) -> None:
        self._connection: Any = None
        self._producer: Any = None
        self._declared: set[str] = set()

    def producer(self, queue: str) -> Any:
        """What sends; the queue is declared once on each connection."""
        if self._producer is None:
            self._connection = current_app.connection_for_write()
            self._connection.ensure_connection(max_retries=1, interval_start=0, timeout=3)
            channel = self._connection.channel()
            self._producer = current_app.amqp.Producer(channel, auto_declare=False, on_return=_returned)
            self._declared = set()
        if queue not in self._declared:
            self._producer.maybe_declare(current_app.amqp.queues[queue])
            self._declared.add(queue)
        return self._producer

    def close(self) -> None:
        connection, self._connection, self._producer = self._connection, None, None
        if connection is not None:
            # Not close(): it would wait for a frozen broker to agree.
            connection.collect(socket_timeout=0.5)


def _returned(*_: Any) -> None:
    logger.error("a nudge found no queue; the keeper sends another", extra={"action": "nudge_unrouted"})


_SENDER = _Sender()
