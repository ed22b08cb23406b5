"""The keeper's reader of dead and unroutable messages: each is counted, told and acknowledged.

It changes nothing else: a message holds nothing that its rows lack, and only the keeper's sweeps judge rows.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

from django.conf import settings
from kombu import Consumer, Message

from monitoring import metrics
from serving_site import topology
from serving_site.celery import app

logger = logging.getLogger(__name__)

#: Seconds between two tries to reach the broker, and the longest wait for a message before stopping is looked at.
AGAIN_S = 2.0
LOOK_S = 1.0


class DeadLetters:
    """The thread that reads them."""

    name = "dead-letters"

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._ended.clear()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def stop(self, timeout: float) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self._read()
            except Exception as error:
                logger.info("dead letters are not read now: %s", error, extra={"action": "dead_letters_away"})
                self._ended.wait(AGAIN_S)

    def _read(self) -> None:
        queues = topology.leftovers(quorum_size=settings.QUORUM_SIZE)
        with app.connection_for_write(heartbeat=10) as connection:
            connection.ensure_connection(max_retries=0, timeout=3)
            with connection.channel() as channel, Consumer(channel, queues, on_message=take, prefetch_count=100):
                while not self._ended.is_set():
                    try:
                        connection.drain_events(timeout=LOOK_S)
                    except TimeoutError:
                        connection.heartbeat_check()


def take(message: Message) -> None:
    """Count one, tell what it was, and let it go."""
    queue, reason = facts(message.headers or {}, message.delivery_info or {})
    metrics.count(metrics.DEAD_LETTERS, (reason,))
    logger.error(
        "a message of %s ended as %s; its rows are nudged again",
        queue,
        reason,
        extra={"action": "dead_letter", "queue": queue, "reason": reason, "task": (message.headers or {}).get("task")},
    )
    message.ack()


def facts(headers: dict[str, Any], delivery: dict[str, Any]) -> tuple[str, str]:
    """(queue it was meant for, why it ended): delivery_limit, rejected, expired, maxlen or unrouted."""
    deaths = headers.get("x-death") or []
    if deaths:
        return str(deaths[0].get("queue", "")), str(deaths[0].get("reason", "dead"))
    return str(delivery.get("routing_key", "")), "unrouted"
