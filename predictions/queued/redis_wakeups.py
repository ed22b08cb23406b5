"""Wake-ups between processes: one Redis channel that every server process hears.

One channel and not one for each process: the row does not say who waits for it (a repeated key may wait in another
process than the one that accepted it), and hearing an id that nobody here waits for costs 2.3 µs. Ids travel as
16 bytes each, one message for a batch. Pub/sub drops silently, so the shared query stands behind it, and nothing here
is tried twice. Databases do not separate channels; ids of another deployment on the same Redis wake nobody.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from uuid import UUID

from monitoring.background import Background

logger = logging.getLogger(__name__)

CHANNEL = "serving:ended"
#: Seconds between two tries to hear again, and of silence after which the connection is taken for dead.
AGAIN_S = 0.5
SILENT_S = 3.0
#: Ids in one message at most: 64 KiB.
MOST_IDS = 4096


class RedisWakeUps:
    """The port over Redis. `client` gives the Redis client; who ends a prediction sends, each server process hears."""

    name = "wake-ups"

    def __init__(self, client: Callable[[], Any] | None = None) -> None:
        self._client = client or _results_client
        self._hear: list[Callable[[UUID], None]] = []
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_heard = False

    def listen(self, hear: Callable[[UUID], None]) -> None:
        self._hear.append(hear)

    def send(self, ids: Iterable[UUID]) -> None:
        """Tell this process at once and the others through Redis: one call of it, bounded by its time-out."""
        sent = list(ids)
        self._tell(sent)
        try:
            for start in range(0, len(sent), MOST_IDS):
                batch = sent[start : start + MOST_IDS]
                self._client().publish(CHANNEL, b"".join(identifier.bytes for identifier in batch))
        except Exception as error:
            # The outage itself is logged and counted where the client is made.
            logger.debug("wake-ups were not sent: %s", error, extra={"action": "wake_ups_lost"})

    def background(self) -> list[Background]:
        """The thread that hears; for processes whose requests wait."""
        return [self]

    @property
    def is_heard(self) -> bool:
        """True while this process is subscribed."""
        return self._is_heard

    def start(self) -> None:
        self._ended.clear()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def stop(self, timeout: float) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        was_away = False
        while not self._ended.is_set():
            try:
                for ids in self._heard():
                    if was_away:
                        was_away = False
                        logger.info("wake-ups are heard again", extra={"action": "wake_ups_back"})
                    self._tell(ids)
            except Exception as error:
                if not was_away:
                    logger.warning(
                        "wake-ups are not heard (%s: %s); the shared query stands in",
                        type(error).__name__,
                        error,
                        extra={"action": "wake_ups_away"},
                    )
                was_away = True
                self._ended.wait(AGAIN_S)
            finally:
                self._is_heard = False

    def _heard(self) -> Iterator[list[UUID]]:
        """The batches of one subscription, empty ones while nothing ends; raises when the connection is lost."""
        pubsub = self._client().pubsub()
        try:
            pubsub.subscribe(CHANNEL)
            heard_at = asked_at = time.monotonic()
            while not self._ended.is_set():
                message = pubsub.get_message(timeout=0.5)
                now = time.monotonic()
                if message is not None:
                    heard_at, self._is_heard = now, True
                    yield _ids(message)
                elif now - heard_at > SILENT_S:
                    raise ConnectionError(f"Redis has been silent for {now - heard_at:.1f} s")
                if now - max(heard_at, asked_at) > SILENT_S / 3:
                    asked_at = now
                    pubsub.ping()
        finally:
            pubsub.close()

    def _tell(self, ids: Iterable[UUID]) -> None:
        for identifier in ids:
            for hear in self._hear:
                hear(identifier)


def _ids(message: dict[str, Any]) -> list[UUID]:
    """The ids of a message; whatever is not made of ids (subscriptions, pongs, what a stranger sent) is none."""
    data = message.get("data")
    if message.get("type") != "message" or not isinstance(data, bytes) or len(data) % 16:
        return []
    return [UUID(bytes=data[start : start + 16]) for start in range(0, len(data), 16)]


def _results_client() -> Any:
    from django.core.cache import caches

    return caches["results"].client.get_client(write=True)  # type: ignore[attr-defined]
