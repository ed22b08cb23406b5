"""The keeper: keeps the promise when a hint, a nudge, a worker or the record store went missing."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from models_registry.models import ModelVersion, RegisteredModel
from models_registry.runtime.signature import Signature
from monitoring import metrics, spooling, stores
from monitoring.courtesy import Load
from monitoring.records import Record
from monitoring.stores.base import Query
from predictions import protection
from predictions.queued import aftermath, nudges, recording, scrubbing, sweeps
from predictions.queued.admission import GATE

logger = logging.getLogger(__name__)

#: Ended rows of this process without a record at which its recorder, at half of them, stops giving way to requests.
MOST_OWED = 100_000
#: Seconds since the end of the oldest of them at which, at half of them, a keeper stops giving way to its machine.
MOST_LATE_S = 60.0


def keep() -> None:
    """One look at everything that may have gone missing. Each step commits before the next, and may be repeated."""
    limits = settings.SERVING
    ended = sweeps.end_overdue()
    exhausted, returned = sweeps.take_back_expired(max_attempts=limits["MAX_ATTEMPTS"])
    if returned or exhausted:
        metrics.count(metrics.LEASE_EXPIRIES, amount=returned + len(exhausted))
        logger.warning(
            "%s leases expired, %s predictions ended for it",
            returned + len(exhausted),
            len(exhausted),
            extra={"action": "leases_expired"},
        )
    _count_work(ended=len(ended), returned=returned)
    if ended or exhausted:
        aftermath.tell([*ended, *exhausted])
    due = sweeps.move_due()
    if due:
        metrics.count(metrics.RETRIES, amount=len(due))
        _count_work(nudged=len(due))
    nudges.PUBLISHER.hint(
        nudges.Nudge(row.id, row.version_id, row.pool, row.priority, row.rows, row.size, row.alone) for row in due
    )


def _count_work(**done: int) -> None:
    for work, rows in done.items():
        if rows:
            metrics.count(metrics.KEEPER_ROWS, (work,), rows)


def purge() -> int:
    """Drop rows past retention, only behind records seen in the store a moment ago; returns how many."""
    store, dropped = stores.open_store(), 0
    while ids := sweeps.purgeable(retention_s=settings.SERVING["LEDGER_RETENTION_S"], now=timezone.now()):
        present = store.present(ids)
        dropped += sweeps.purge([identifier for identifier in ids if identifier in present])
        if len(present) < len(ids):
            logger.error(
                "%s recorded rows have no record in the store; they are kept",
                len(ids) - len(present),
                extra={"action": "records_missing"},
            )
            break
    return dropped


def purge_records_of_models() -> int:
    """Drop records of models that keep them for less time than the site does; returns how many."""
    store, now, dropped = stores.open_store(), timezone.now(), 0
    kept = RegisteredModel.objects.filter(record_days__isnull=False).values_list("project__name", "name", "record_days")
    for project, model, days in kept:
        dropped += store.remove(Query(project=project, model=model, until=now - timedelta(days=days or 0)))
    return dropped


class Rows:
    """The ledger as a source of the recorder: ended rows whose record is not in the store yet."""

    name = "ledger"

    def __init__(self) -> None:
        self._marked = 0
        #: When the oldest row of the last batch ended; None where there was none.
        self._oldest: datetime | None = None

    def load(self) -> Load:
        """What the recorder gives way to: requests that this process accepts, until many of them lack their record."""
        return Load(
            lambda: spooling.appended() + GATE.accepted, lambda: max(0, GATE.accepted - self._marked) / MOST_OWED
        )

    def lateness(self) -> float:
        """How long the oldest row waits for its record, of what it may (0 to 1 and beyond)."""
        return (timezone.now() - self._oldest).total_seconds() / MOST_LATE_S if self._oldest is not None else 0.0

    def batch(self, limit: int, behind: UUID | None = None) -> list[tuple[UUID, Record]]:
        rows = sweeps.unrecorded(limit, behind=behind)
        self._oldest = rows[0].completed_at if rows else None
        return [
            (row.id, recording.record_of(row, _signature(row.version_id), protection.guard_of_row(row.version_id)))
            for row in rows
        ]

    def mark(self, tokens: Sequence[UUID]) -> None:
        sweeps.mark_recorded(tokens)
        self._marked += len(tokens)
        scrubbing.scrub_inputs(tokens)
        _count_work(recorded=len(tokens))


@lru_cache(maxsize=256)
def _signature(version_id: UUID) -> Signature | None:
    row = ModelVersion.objects.filter(pk=version_id).first()
    return row.parsed_signature() if row is not None and row.signature else None
