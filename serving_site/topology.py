"""The exchanges and queues, and that they are there: declared at boot of every process, which is idempotent.

    serving (topic) ──► predictions.<pool>.<priority>, operations     quorum queues
       │ no queue takes it             │ rejected, or delivered too often
       ▼                               ▼
    serving.unrouted (queue)        serving.dlx ──► serving.dead (queue)

A message carries ids only and a queue's end costs nothing: the keeper nudges rows again. Both queues at the bottom are
read by the keeper, which counts, tells and acknowledges.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from kombu import Connection, Exchange, Queue

from monitoring.background import Ticker

logger = logging.getLogger(__name__)

EXCHANGE = "serving"
DEAD_EXCHANGE = "serving.dlx"
DEAD = "serving.dead"
UNROUTED = "serving.unrouted"
#: A message is given to so many consumers, each of which was lost with it, before it is dead.
DELIVERY_LIMIT = 5
MOST_MESSAGES = 100_000
#: Seconds between two declarations: what an operator deletes is back after so long.
DECLARE_EVERY_S = 30.0


def queues(names: Sequence[str], *, embedded: bool, quorum_size: int = 0) -> list[Queue]:
    """The queues that Celery knows. `quorum_size` is the number of replicas, 0 leaves it to the server."""
    if embedded:
        exchange = Exchange(EXCHANGE, "topic", durable=True)
        return [Queue(name, exchange, routing_key=name) for name in names]
    exchange = Exchange(EXCHANGE, "topic", durable=True, arguments={"alternate-exchange": UNROUTED})
    arguments = {
        **_quorum(quorum_size),
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": DEAD_EXCHANGE,
        "x-dead-letter-strategy": "at-least-once",
        # At-least-once dead-lettering needs it: what does not fit is refused, and its row backs off.
        "x-overflow": "reject-publish",
        "x-max-length": MOST_MESSAGES,
    }
    return [Queue(name, exchange, routing_key=name, queue_arguments=arguments) for name in names]


def leftovers(*, quorum_size: int = 0) -> list[Queue]:
    """Where messages end that no worker will take."""
    return [
        Queue(
            DEAD,
            Exchange(DEAD_EXCHANGE, "fanout", durable=True),
            queue_arguments={**_quorum(quorum_size), "x-max-length": MOST_MESSAGES, "x-overflow": "reject-publish"},
        ),
        Queue(
            UNROUTED,
            Exchange(UNROUTED, "fanout", durable=True),
            queue_arguments={**_quorum(quorum_size), "x-max-length": MOST_MESSAGES},
        ),
    ]


def declare(connection: Connection, working: Sequence[Queue], *, quorum_size: int = 0) -> None:
    """Declare everything; where dead letters go comes first. Raises what the broker or the socket says."""
    with connection.channel() as channel:
        for queue in (*leftovers(quorum_size=quorum_size), *working):
            queue(channel).declare()


def background() -> Ticker:
    """Declares at once and again every 30 s: off everybody's way, and until the broker is there."""
    return Ticker("topology", DECLARE_EVERY_S, declare_now)


def declare_now() -> None:
    from django.conf import settings

    from serving_site.celery import app

    with app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=1, timeout=3)
        declare(connection, settings.CELERY_TASK_QUEUES, quorum_size=settings.QUORUM_SIZE)


def _quorum(size: int) -> dict[str, Any]:
    return {"x-queue-type": "quorum", **({"x-quorum-initial-group-size": size} if size else {})}
