"""The keeper's SQL: what went missing, what is due, what is past its time, what has no record yet.

Every sweep takes the oldest rows first, at most `limit` of them, and skips rows another keeper holds.
"""

# ruff: noqa: S608 - every fragment that is put together here is a constant of this room

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from predictions.models import Prediction
from predictions.queued.database import as_moment, as_uuid, dialect, fetch, writing
from predictions.queued.horizon import HORIZON
from predictions.queued.ledger import TABLE

#: Rows one sweep takes at most; the next round takes the rest.
LIMIT = 1_000

#: A key is honoured for at least so long, whatever the retention.
KEY_KEPT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Due:
    """A waiting row that needs a nudge. `size` is its input in bytes."""

    id: UUID
    project: str
    model: str
    version: int
    version_id: UUID
    pool: str
    priority: str
    rows: int
    size: int
    alone: bool


def end_overdue() -> list[UUID]:
    """Open rows whose deadline has passed end `aborted`; a running one ends at once, its late answer is refused."""
    sql = dialect()
    found = _sweep(
        f"status IN ('starting', 'processing') AND deadline_at <= {sql.now}",
        f"""status = 'aborted', completed_at = {sql.now}, fence = NULL, lease_until = NULL,
            error_code = 'deadline_passed', error = 'deadline passed'""",
    )
    return [as_uuid(row[0]) for row in found]


def take_back_expired(*, max_attempts: int) -> tuple[list[UUID], int]:
    """Running rows whose lease ran out: back to waiting, to run alone; ended when no attempt is left.

    Returns the ids that ended and the number that wait again.
    """
    sql = dialect()
    last = "attempts + 1 >= %(max_attempts)s"
    found = _sweep(
        f"status = 'processing' AND lease_until < {sql.now}",
        f"""status = CASE WHEN {last} THEN 'failed' ELSE 'starting' END,
            completed_at = CASE WHEN {last} THEN {sql.now} END,
            error_code = CASE WHEN {last} THEN 'attempts_exhausted' ELSE '' END,
            error = CASE WHEN {last} THEN 'its worker was lost each time it was tried' ELSE '' END,
            attempts = attempts + 1, fence = NULL, lease_until = NULL, alone = TRUE, next_send_at = {sql.now}""",
        params={"max_attempts": max_attempts},
        returning="id, status",
    )
    ended = [as_uuid(row[0]) for row in found if row[1] == Prediction.Status.FAILED]
    return ended, len(found) - len(ended)


def move_due() -> list[Due]:
    """Waiting rows whose next send has come: moved on with back-off (1 → 30 s, jittered), to be nudged after this
    commit. A keeper that dies in between costs one back-off, never the row."""
    sql = dialect()
    wait = (
        "(CASE WHEN sends >= 5 THEN 30.0 WHEN sends = 4 THEN 16.0 WHEN sends = 3 THEN 8.0 WHEN sends = 2 THEN 4.0"
        f" WHEN sends = 1 THEN 2.0 ELSE 1.0 END) * (0.75 + 0.5 * {sql.random})"
    )
    found = _sweep(
        f"status = 'starting' AND next_send_at <= {sql.now} AND deadline_at > {sql.now}",
        f"next_send_at = {sql.later.format(wait)}, sends = CASE WHEN sends < 30000 THEN sends + 1 ELSE sends END",
        returning="id, project, model, version, version_id, pool, priority, rows, length(input), alone",
    )
    due = [
        Due(
            id=as_uuid(row[0]),
            project=row[1],
            model=row[2],
            version=row[3],
            version_id=as_uuid(row[4]),
            pool=row[5],
            priority=row[6],
            rows=row[7],
            size=row[8],
            alone=bool(row[9]),
        )
        for row in found
    ]
    return sorted(due, key=lambda row: row.id)


class Ended(NamedTuple):
    """An ended row as its record is made of it: the columns of `Prediction` by their names."""

    id: UUID
    project: str
    key: str
    request_id: str
    traceparent: str
    subject: str
    model: str
    version: int
    version_id: UUID
    digest: str
    route: str
    protocol: str
    rows: int
    input: bytes
    cache: str
    status: str
    output: bytes | None
    error_code: str
    error: str
    accepted_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    inference_ms: float


#: A running sum of bytes bounds what is read: lengths are known without reading what is long.
_COLUMNS = ",".join(f'"{name}"' for name in Ended._fields)
_OCTETS = "length(input) + coalesce(length(output), 0)"
_UNRECORDED = f"""
    SELECT {_COLUMNS} FROM (
        SELECT {_COLUMNS}, sum({_OCTETS}) OVER (ORDER BY id) - ({_OCTETS}) AS before FROM (
            SELECT {_COLUMNS} FROM {TABLE}
            WHERE recorded_at IS NULL AND status IN ('succeeded', 'failed', 'canceled', 'aborted') AND id > %s
            ORDER BY id LIMIT %s) AS oldest) AS summed
    WHERE before < %s ORDER BY id"""

_LEAST = UUID(int=0)


def unrecorded(limit: int, *, octets: int = 5_000_000, behind: UUID | None = None) -> list[Ended]:
    """Ended rows without a record, oldest first: at most `limit`, and no more once they hold `octets` bytes.
    With `behind`, only those whose ids are greater.

    Not as model instances, which cost three times as much to make as the record itself.
    """
    return [_ended(row) for row in fetch(_UNRECORDED, [dialect().id(behind or _LEAST), limit, octets])]


def _ended(values: tuple[Any, ...]) -> Ended:
    row = Ended._make(values)
    return row._replace(
        id=as_uuid(row.id),
        version_id=as_uuid(row.version_id),
        input=bytes(row.input),
        output=bytes(row.output) if row.output is not None else None,
        accepted_at=as_moment(row.accepted_at),
        started_at=as_moment(row.started_at),
        completed_at=as_moment(row.completed_at),
    )


def mark_recorded(ids: Sequence[UUID]) -> int:
    """Their records are in the store; from now on they may be purged."""
    if not ids:
        return 0
    sql = dialect()
    statement = f"""
        UPDATE {TABLE} SET recorded_at = {sql.now} WHERE {sql.among.format("ids")} AND recorded_at IS NULL
            AND status NOT IN ('starting', 'processing') RETURNING id"""
    with writing():
        return len(fetch(statement, {"ids": sql.ids(ids)}))


def purgeable(*, retention_s: float, now: datetime, limit: int = 500) -> list[UUID]:
    """Recorded rows past retention, oldest first; rows with a key stay at least 24 hours."""
    old = Prediction.objects.filter(recorded_at__isnull=False, completed_at__lt=now - timedelta(seconds=retention_s))
    found = old.order_by("id").values_list("id", "idempotency_key", "accepted_at")[:limit]
    return [identifier for identifier, key, accepted_at in found if key is None or accepted_at < now - KEY_KEPT]


def purge(ids: Sequence[UUID]) -> int:
    """Drop rows whose records were found in the store a moment ago."""
    with writing():
        return Prediction.objects.filter(id__in=list(ids), recorded_at__isnull=False).delete()[0]


def _sweep(
    where: str, assignments: str, *, params: dict[str, Any] | None = None, returning: str = "id"
) -> list[tuple[Any, ...]]:
    """Change the oldest unrecorded rows that meet `where`. The partial index on unrecorded rows finds them."""
    sql = dialect()
    open_rows = f"recorded_at IS NULL AND id >= %(horizon)s AND {where}"
    statement = f"""
        WITH found AS MATERIALIZED (
            SELECT id FROM {TABLE} WHERE {open_rows} ORDER BY id LIMIT {LIMIT} {sql.skip_locked})
        UPDATE {TABLE} SET {assignments} WHERE id IN (SELECT id FROM found) AND {where}
        RETURNING {returning}"""
    given = {**(params or {}), "horizon": sql.id(HORIZON.least())}
    # A look first: SQLite's one writer is not asked for when there is nothing to do, which is nearly always.
    if not fetch(f"SELECT 1 FROM {TABLE} WHERE {open_rows} LIMIT 1", given):
        return []
    with writing():
        return fetch(statement, given)
