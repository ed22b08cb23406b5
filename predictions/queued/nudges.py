"""Nudges: messages that say "look at these rows". Sent after the commit, off the request; they may be lost.

One thread publishes. While it does, the next ids gather; then they go together, as many per message as one worker
finishes in 0.2 s by the version's measured cost.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from uuid import UUID

from django.conf import settings

from models_registry import snapshot
from models_registry.routing import Version
from predictions.queued.admission import GATE

logger = logging.getLogger(__name__)

#: Seconds of work in one message.
WORK_S = 0.2
MOST_IDS = 256
MOST_BYTES = 8 * 2**20
#: Messages per queue that are under way where sending is paced, and the seconds after which one counts no more.
UNDER_WAY = 2
HELD_S = 0.25
#: Seconds that ids gather while the workers are behind by more than one message holds.
GATHER_S = 0.05
#: Seconds a broker that failed is left alone.
AGAIN_S = 1.0
#: Ids that wait to be sent; beyond it they are dropped, and the keeper sends them later.
MOST_WAITING = 50_000


@dataclass(frozen=True, slots=True)
class Nudge:
    """One row to look at. `size` is its input in bytes."""

    id: UUID
    version_id: UUID
    pool: str
    priority: str
    rows: int
    size: int
    alone: bool = False

    @property
    def queue(self) -> str:
        return f"predictions.{self.pool}.{self.priority}"


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: ids of one version, for one queue."""

    queue: str
    version_id: UUID
    ids: tuple[UUID, ...]


def batches(nudges: Iterable[Nudge], cost_of: Callable[[UUID], tuple[float, float, float] | None]) -> Iterator[Message]:
    """Group nudges into messages, oldest first within a version; a row that runs alone travels alone."""
    ordered = sorted(nudges, key=lambda nudge: (nudge.queue, nudge.version_id, nudge.id))
    for (queue, version_id), group in groupby(ordered, key=lambda nudge: (nudge.queue, nudge.version_id)):
        cost = cost_of(version_id)
        ids: list[UUID] = []
        rows = size = 0
        for nudge in group:
            if nudge.alone:
                yield Message(queue, version_id, (nudge.id,))
                continue
            too_much = ids and (
                len(ids) >= MOST_IDS
                or size + nudge.size > MOST_BYTES
                or cost_s(rows + nudge.rows, len(ids) + 1, cost) > WORK_S
            )
            if too_much:
                yield Message(queue, version_id, tuple(ids))
                ids, rows, size = [], 0, 0
            ids.append(nudge.id)
            rows += nudge.rows
            size += nudge.size
        if ids:
            yield Message(queue, version_id, tuple(ids))


def cost_s(rows: int, requests: int, cost: tuple[float, float, float] | None) -> float:
    """Seconds one call of so many rows is likely to take, from the measured cost of 1, 8 and 64 rows, and what the
    ledger and JSON add per request (0.3 ms)."""
    overhead = 0.0003 * requests
    if not cost or not cost[0]:
        return overhead
    one, _, many = cost
    per_row = max(0.0, many - one) / 63
    return one + per_row * (rows - 1) + overhead


class NotTaken(Exception):
    """The broker refused a message: its queue is full."""


class Publisher:
    """The thread that sends; `hint` never blocks.

    Where the workers are threads of this process (`paced`), at most two messages per queue are under way, so that
    ids gather while the workers are busy: a message of 200 ids costs little more than one of 2. A message that is
    never taken holds others up for `HELD_S` only. Elsewhere they gather for `GATHER_S` while `is_behind` says so.
    """

    name = "nudges"

    def __init__(
        self,
        send: Callable[[Message], None],
        *,
        paced: bool = False,
        is_behind: Callable[[], bool] = lambda: False,
    ) -> None:
        self._send = send
        self._is_behind = is_behind
        self._paced = paced
        self._waiting: deque[Nudge] = deque()
        self._some = threading.Event()
        self._ended = False
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._under_way: dict[str, list[float]] = {}
        self._failed_at = 0.0
        self.dropped = 0

    def hint(self, nudges: Iterable[Nudge]) -> None:
        for nudge in nudges:
            if len(self._waiting) >= MOST_WAITING:
                self.dropped += 1
                continue
            self._waiting.append(nudge)
        if self._waiting:
            self._some.set()

    def done(self, queue: str) -> None:
        """A worker of this process has finished a message of this queue."""
        with self._lock:
            sent = self._under_way.get(queue)
            if sent:
                sent.pop(0)
        if self._waiting:
            self._some.set()

    def start(self) -> None:
        self._ended = False
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def stop(self, timeout: float) -> None:
        self._ended = True
        self._some.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def flush(self) -> bool:
        """Send all that may go now; True when something is held back. What the broker refuses is dropped: the row
        backs off and the keeper's turn comes. What it could not be asked waits for it, at most `MOST_WAITING`."""
        gathered, held = [], []
        while self._waiting:
            gathered.append(self._waiting.popleft())
        by_id = {nudge.id: nudge for nudge in gathered}
        for message in batches(by_id.values(), _cost_of):
            nudges = [by_id[identifier] for identifier in message.ids]
            if self._is_away() or not self._may_go(message.queue) or not self._sent(message):
                held += nudges
        self._waiting.extendleft(reversed(held))
        return bool(held)

    def _sent(self, message: Message) -> bool:
        """False when the broker could not be asked."""
        try:
            self._send(message)
        except NotTaken:
            self.done(message.queue)
            self.dropped += len(message.ids)
            logger.warning("a nudge was refused by its queue", extra={"action": "nudge_dropped"})
        except Exception as error:
            self.done(message.queue)
            if not self._failed_at:
                logger.warning("nudges wait for the broker: %s", error, extra={"action": "broker_away"})
            self._failed_at = time.monotonic()
            return False
        else:
            if self._failed_at:
                logger.info("nudges are sent again", extra={"action": "broker_back"})
            self._failed_at = 0.0
        return True

    def _is_away(self) -> bool:
        return time.monotonic() - self._failed_at < AGAIN_S if self._failed_at else False

    def _may_go(self, queue: str) -> bool:
        if not self._paced:
            return True
        now = time.monotonic()
        with self._lock:
            sent = [moment for moment in self._under_way.get(queue, ()) if now - moment < HELD_S]
            if may := len(sent) < UNDER_WAY:
                sent.append(now)
            self._under_way[queue] = sent
        return may

    def _run(self) -> None:
        held = False
        while not self._ended:
            self._some.wait(HELD_S if held else 1.0)
            if not self._paced and self._is_behind():
                time.sleep(GATHER_S)
            self._some.clear()
            try:
                held = self.flush()
            except Exception:
                logger.exception("nudges failed; the keeper sends them", extra={"action": "background_failed"})


def _cost_of(version_id: UUID) -> tuple[float, float, float] | None:
    version: Version | None = snapshot.current().versions.get(version_id)
    return version.row_cost_s if version is not None else None


def _send(message: Message) -> None:
    from predictions.queued import tasks

    tasks.send(message)


PUBLISHER = Publisher(_send, paced=settings.EMBEDDED, is_behind=lambda: GATE.open() > MOST_IDS)
