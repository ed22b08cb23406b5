"""Celery only: a task carries ids and claims their rows; what it does is in `execution` and `keeper`."""

from __future__ import annotations

import logging
from uuid import UUID

from celery import Task, shared_task
from celery.exceptions import Reject

from predictions.queued import execution, keeper
from predictions.queued.nudges import PUBLISHER, Message

logger = logging.getLogger(__name__)

#: Version of the payload. A worker that does not know it rejects the message; the keeper nudges the row again.
PAYLOAD = 1


@shared_task(name="predictions.run", ignore_result=True, bind=True)
def run(self: Task[..., None], v: int, ids: list[str]) -> None:
    """Run these predictions. Delivered at least once: rows that another worker holds or ended are not claimed."""
    if v != PAYLOAD:
        raise Reject(f"payload {v} is not known here", requeue=False)
    try:
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


def send(message: Message) -> None:
    """Publish one nudge; raises when the broker does not take it."""
    ids = [identifier.hex for identifier in message.ids]
    run.apply_async((PAYLOAD, ids), queue=message.queue, retry=False, argsrepr="…")  # type: ignore[call-arg]  # an option of the message
