"""Where an answer is read: the hot result while it lives, then the row, then the record."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings
from django.core.cache import caches

from models_registry import errors
from models_registry.response_cache import Outcome
from monitoring import stores
from monitoring.records import Record
from predictions import protection
from predictions.models import Prediction
from predictions.protocols.replicate import Sight

logger = logging.getLogger(__name__)

#: Larger answers stay in their row: the cache holds many small ones.
HOT_BYTES = 16 * 2**10


def find(project_id: int, project: str, identifier: UUID, entry: Any = None) -> Sight:
    """What is known of a prediction of this project. Raises `NotFound`: an unknown id is never "pending".

    `entry` is what the cache keeps of it, where somebody brought that along.
    """
    return (
        _hot(project_id, identifier, entry)
        or _from_row(project_id, identifier)
        or _from_record(project, identifier)
        or _raise_not_found(identifier)
    )


def keep_hot(rows: Iterable[Prediction]) -> None:
    """Put finished rows where the next GET finds them without the database; best effort."""
    put({key: value for row in rows for key, value in hot(row.project_id, sight_of(row))})


def hot(project_id: int, sight: Sight) -> list[tuple[str, Any]]:
    """The entry of the cache for a finished prediction; none where its answer is large or protected."""
    if len(sight.input) + len(sight.output or b"") > HOT_BYTES:
        return []
    if protection.guard_of_row(sight.version_id) is not None:
        return []  # its row answers: no copy of what a privacy protects
    return [(key_of(sight.id), [project_id, sight.to_json()])]


def put(entries: Mapping[str, Any]) -> None:
    """Keep these entries; best effort."""
    try:
        if entries:
            caches["results"].set_many(dict(entries), timeout=settings.SERVING["RESULT_TTL"])
    except Exception:
        logger.warning("hot results were not kept", extra={"action": "hot_results_lost"}, exc_info=True)


def sight_of(row: Prediction) -> Sight:
    """A row as the protocol shows it."""
    return Sight(
        id=row.id,
        project=row.project,
        model=row.model,
        version=row.version,
        version_id=row.version_id,
        digest=row.digest,
        pool=row.pool,
        priority=row.priority,
        status=row.status,
        input=bytes(row.input),
        output=bytes(row.output) if row.output is not None else None,
        error=row.error,
        accepted_at=row.accepted_at,
        deadline_at=row.deadline_at,
        started_at=row.started_at,
        completed_at=row.completed_at,
        inference_ms=row.inference_ms,
        cache=row.cache,
    )


def key_of(identifier: UUID) -> str:
    return f"prediction:{identifier.hex}"


def _hot(project_id: int, identifier: UUID, entry: Any) -> Sight | None:
    try:
        found: Any = caches["results"].get(key_of(identifier)) if entry is None else entry
        # Read here too: what a stranger wrote into the cache has no shape, and the row has the answer.
        return Sight.from_json(found[1]) if found is not None and found[0] == project_id else None
    except Exception:
        logger.warning("a hot result was not read", extra={"action": "hot_results_down"}, exc_info=True)
        return None


def _from_row(project_id: int, identifier: UUID) -> Sight | None:
    row = Prediction.objects.filter(id=identifier, project_id=project_id).first()
    return sight_of(row) if row is not None else None


def _from_record(project: str, identifier: UUID) -> Sight | None:
    """The row was purged: its record says what was answered. Online predictions are not shown here."""
    record = stores.open_store().get(project, identifier)
    if record is None or record.door != "queued":
        return None
    return _sight_of_record(record)


def _sight_of_record(record: Record) -> Sight:
    return Sight(
        id=record.id,
        project=record.project,
        model=record.model,
        version=record.version,
        version_id=record.version_id,
        digest=record.digest,
        pool="",
        priority="",
        status=record.status,
        input=orjson.dumps(record.inputs),
        output=orjson.dumps(record.outputs) if record.outputs is not None else None,
        error=record.error,
        accepted_at=record.accepted_at,
        deadline_at=None,
        started_at=None,
        completed_at=record.completed_at,
        inference_ms=record.inference_ms,
        cache=Outcome.HIT if record.cached else "",
    )


def _raise_not_found(identifier: UUID) -> Sight:
    raise errors.NotFound(f"Prediction {identifier} not found")
