"""Wake-ups between processes: two Redis channels that every server process hears.

Not one for each process: the row does not say who waits for it (a repeated key may wait in another process than the
one that accepted it), and hearing an id that nobody here waits for costs 2.3 µs. Ids travel as 16 bytes each, one
message for a batch. What has ended alone, as on an idle system, brings its answer along on the second channel, so that
who waits need not ask for it. Pub/sub drops silently, so the shared query stands behind it, and nothing here is tried
twice. Databases do not separate channels; ids of another deployment on the same Redis wake nobody.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.cache import caches
from redis import RedisCluster

from monitoring.background import Background
from predictions.queued import results

logger = logging.getLogger(__name__)

CHANNEL = "serving:ended"
#: An id and its entry for the cache of results, as it is kept there.
WITH_ENTRY = "serving:ended-with-entry"
#: Seconds between two tries to hear again, and of silence after which the connection is taken for dead.
AGAIN_S = 0.5
SILENT_S = 3.0
#: Ids in one message at most: 64 KiB.
MOST_IDS = 4096
NOTHING: Mapping[str, Any] = {}


class RedisWakeUps:
    """The port over Redis. `client` gives the Redis client; who ends a prediction sends, each server process hears."""

    name = "wake-ups"

    def __init__(self, client: Callable[[], Any] | None = None) -> None:
        self._client = client or _results_client
        self._hear: list[Callable[[UUID, Any], None]] = []
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_heard = False

    def listen(self, hear: Callable[[UUID, Any], None]) -> None:
        self._hear.append(hear)

    def send(self, ids: Iterable[UUID], hot: Mapping[str, Any] = NOTHING) -> None:
        """Tell this process at once and the others through Redis: one exchange with it, bounded by its time-out."""
        sent = list(ids)
        try:
            self._exchange(sent, hot)
        except Exception as error:
            # The outage itself is logged and counted where the client is made.
            logger.debug("wake-ups were not sent: %s", error, extra={"action": "wake_ups_lost"})
        self._tell((one, None) for one in sent)

    def _exchange(self, ids: list[UUID], hot: Mapping[str, Any]) -> None:
        messages = [b"".join(one.bytes for one in ids[at : at + MOST_IDS]) for at in _starts(ids)]
        client = self._client()
        if isinstance(client, RedisCluster):  # whose pipelines publish nothing
            results.put(hot)
            for message in messages:
                client.publish(CHANNEL, message)
            return
        pipeline, entry = client.pipeline(transaction=False), b""
        if hot:
            cache: Any = caches["results"].client  # type: ignore[attr-defined]
            lives_s = settings.SERVING["RESULT_TTL"]
            for key, value in hot.items():
                # As `set` sends it, which takes three times as long to look through its twenty arguments.
                entry = cache.encode(value)
                pipeline.execute_command("SET", cache.make_key(key), entry, "EX", lives_s)
        if len(ids) == 1 and entry:
            pipeline.publish(WITH_ENTRY, ids[0].bytes + entry)
            messages = []
        for message in messages:
            pipeline.publish(CHANNEL, message)
        pipeline.execute()

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
                for ended in self._heard():
                    if was_away:
                        was_away = False
                        logger.info("wake-ups are heard again", extra={"action": "wake_ups_back"})
                    self._tell(ended)
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

    def _heard(self) -> Iterator[list[tuple[UUID, Any]]]:
        """The batches of one subscription, empty ones while nothing ends; raises when the connection is lost."""
        pubsub = self._client().pubsub()
        try:
            pubsub.subscribe(CHANNEL, WITH_ENTRY)
            heard_at = asked_at = time.monotonic()
            while not self._ended.is_set():
                message = pubsub.get_message(timeout=0.5)
                now = time.monotonic()
                if message is not None:
                    heard_at, self._is_heard = now, True
                    yield _ended(message)
                elif now - heard_at > SILENT_S:
                    raise ConnectionError(f"Redis has been silent for {now - heard_at:.1f} s")
                if now - max(heard_at, asked_at) > SILENT_S / 3:
                    asked_at = now
                    pubsub.ping()
        finally:
            pubsub.close()

    def _tell(self, ended: Iterable[tuple[UUID, Any]]) -> None:
        for identifier, entry in ended:
            for hear in self._hear:
                hear(identifier, entry)


def _starts(ids: list[UUID]) -> range:
    return range(0, len(ids), MOST_IDS)


def _ended(message: dict[str, Any]) -> list[tuple[UUID, Any]]:
    """The ids of a message, each with its entry or None; whatever is not made of them (subscriptions, pongs, what a
    stranger sent) is none."""
    data = message.get("data")
    if message.get("type") != "message" or not isinstance(data, bytes):
        return []
    if message.get("channel") == WITH_ENTRY.encode() and len(data) > 16:
        return [(UUID(bytes=data[:16]), _entry(data[16:]))]
    if len(data) % 16:
        return []
    return [(UUID(bytes=data[start : start + 16]), None) for start in range(0, len(data), 16)]


def _entry(data: bytes) -> Any:
    """None where it is no entry: the cache is asked then."""
    try:
        return caches["results"].client.decode(data)  # type: ignore[attr-defined]
    except Exception:
        return None


def _results_client() -> Any:
    return caches["results"].client.get_client(write=True)  # type: ignore[attr-defined]
