"""The promise, as SQL: claim, renew, settle, release, cancel. (To accept: `acceptance`; the keeper's verbs: `sweeps`.)

Every verb is one conditional statement whose rows decide. Whatever ends a row names the states it leaves and clears
the fence in the same UPDATE, so the first ending wins and a late settle hits nothing.
"""

# ruff: noqa: S608 - every fragment that is put together here is a constant of this room

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from predictions.models import Prediction
from predictions.queued.acceptance import TABLE, Accepted, Draft, accept, standing
from predictions.queued.database import as_moment, as_uuid, dialect, execute, fetch, writing, writing_unflushed

__all__ = ["TABLE", "Accepted", "Claimed", "Draft", "Settled", "accept", "claim", "settle", "standing"]


@dataclass(frozen=True, slots=True)
class Claimed:
    """A row this process may run until its lease ends; writes need `fence`. All that its answer shows is here."""

    id: UUID
    fence: UUID
    project_id: int
    project: str
    model: str
    version: int
    version_id: UUID
    digest: str
    pool: str
    priority: str
    protocol: str
    rows: int
    input: bytes
    alone: bool
    attempts: int
    accepted_at: datetime
    deadline_at: datetime
    started_at: datetime
    cache: str = ""
    traceparent: str = ""


#: What a claim returns of each row, in the order of `Claimed` without its fence.
_CLAIMED = [field.name for field in fields(Claimed) if field.name != "fence"]


@dataclass(frozen=True, slots=True)
class Settled:
    """How one claimed row ends: an output as JSON, or an error."""

    id: UUID
    output: bytes | None = None
    error_code: str = ""
    error: str = ""
    inference_ms: float = 0.0
    cache: str = ""

    @property
    def status(self) -> str:
        return Prediction.Status.SUCCEEDED if self.output is not None else Prediction.Status.FAILED


def claim(ids: Sequence[UUID], *, lease_s: float, max_attempts: int) -> list[Claimed]:
    """Take what waits, or whose lease has expired; rows of others and ended rows are left alone.

    A row that is to run alone is taken only when it is asked for alone. A claim that a crash of the database loses is a
    row that waits, and its late settle meets no fence; once that is settled, both are on disk.
    """
    if not ids:
        return []
    sql = dialect()
    fence = uuid.uuid4()
    together = "" if len(ids) == 1 else " AND NOT alone"
    statement = f"""
        WITH free AS MATERIALIZED (
            SELECT id FROM {TABLE}
            WHERE {sql.among.format("ids")} AND deadline_at > {sql.now}{together} AND (status = 'starting'
                OR (status = 'processing' AND lease_until < {sql.now} AND attempts + 1 < %(max_attempts)s))
            {sql.skip_locked})
        UPDATE {TABLE} SET status = 'processing', fence = %(fence)s, started_at = {sql.now},
            lease_until = {sql.later.format("%(lease)s")},
            attempts = attempts + CASE WHEN status = 'processing' THEN 1 ELSE 0 END
        {sql.unflushed}
        WHERE id IN (SELECT id FROM free)
        RETURNING {",".join(_CLAIMED)}"""
    params = {"ids": sql.ids(ids), "fence": sql.id(fence), "lease": lease_s, "max_attempts": max_attempts}
    with writing_unflushed():
        found = fetch(statement, params)
    return sorted((_claimed(fence, row) for row in found), key=lambda row: row.id)


def _claimed(fence: UUID, values: tuple[Any, ...]) -> Claimed:
    row = dict(zip(_CLAIMED, values, strict=True))
    for name in ("id", "version_id"):
        row[name] = as_uuid(row[name])
    for name in ("accepted_at", "deadline_at", "started_at"):
        row[name] = as_moment(row[name])
    row["input"], row["alone"] = bytes(row["input"]), bool(row["alone"])
    return Claimed(fence=fence, **row)


def renew(ids: Sequence[UUID], fences: Sequence[UUID], *, lease_s: float) -> int:
    """Extend the lease of everything this process holds, in one UPDATE; returns how many are still its own."""
    if not ids:
        return 0
    sql = dialect()
    own = sql.among.format("fences").replace("id ", "fence ", 1)
    return _update(
        f"lease_until = {sql.later.format('%(lease)s')}",
        f"{sql.among.format('ids')} AND status = 'processing' AND {own}",
        {"ids": sql.ids(ids), "fences": sql.ids(fences), "lease": lease_s},
    )


def settle(fence: UUID, endings: Sequence[Settled]) -> dict[UUID, datetime]:
    """End claimed rows, each once; returns those that were still this fence's own, with the time of their end."""
    if not endings:
        return {}
    if connection.vendor == "postgresql":
        ((moment, ids),) = fetch(_SETTLE_ON_POSTGRESQL, [*_columns(endings), fence])
        return dict.fromkeys(ids or (), moment)
    return _settle_on_sqlite(fence, endings)


def _columns(endings: Sequence[Settled]) -> list[list[Any]]:
    return [[getattr(end, name) for end in endings] for name in _ENDING]


#: What an ending sets, with PostgreSQL's type of it; `id` says where.
_ENDING = {"id": "uuid", "status": "text", "output": "bytea", "error_code": "text", "error": "text"}
_ENDING |= {"inference_ms": "float8", "cache": "text"}
_ENDED = f"""UPDATE {TABLE} SET fence = NULL, lease_until = NULL, completed_at = """
_SETTLE_ON_POSTGRESQL = f"""
    WITH ended AS (
        {_ENDED} statement_timestamp(), {",".join(f"{name} = e.{name}" for name in _ENDING if name != "id")}
        FROM unnest({",".join(f"%b::{kind}[]" for kind in _ENDING.values())}) AS e({",".join(_ENDING)})
        WHERE {TABLE}.id = e.id AND {TABLE}.status = 'processing' AND fence = %s
        RETURNING {TABLE}.id)
    SELECT statement_timestamp(), array_agg(id) FROM ended"""
_SETTLE_ON_SQLITE = f"""
    {_ENDED} %s, {",".join(f"{name} = %s" for name in _ENDING if name != "id")}
    WHERE id = %s AND status = 'processing' AND fence = %s"""


def _settle_on_sqlite(fence: UUID, endings: Sequence[Settled]) -> dict[UUID, datetime]:
    """The same, as one statement that is compiled once; told apart row by row only where some were not ours."""
    ((now,),) = fetch(f"SELECT {dialect().now % ()}", ())
    rows = [(now, *values, end.id.hex, fence.hex) for end in endings for values in [_values(end)]]
    with writing(), connection.cursor() as cursor:
        cursor.execute("SAVEPOINT settling")
        cursor.executemany(_SETTLE_ON_SQLITE, rows)
        if cursor.rowcount == len(endings):
            return dict.fromkeys((end.id for end in endings), as_moment(now))
        cursor.execute("ROLLBACK TO settling")
        return {
            end.id: as_moment(now)
            for end, row in zip(endings, rows, strict=True)
            if cursor.execute(_SETTLE_ON_SQLITE, row).rowcount
        }


def _values(end: Settled) -> list[Any]:
    return [getattr(end, name) for name in _ENDING if name != "id"]


def release(
    fence: UUID, ids: Sequence[UUID], *, alone: bool = False, delay_s: float = 0.0, in_vain: bool = False
) -> list[UUID]:
    """Give claimed rows back to waiting: at shutdown, when the version cannot be loaded now (`delay_s`; `in_vain`
    counts the attempt), or because their batch died (`alone`: each is run by itself next)."""
    if not ids:
        return []
    sql = dialect()
    mark = (", alone = TRUE" if alone else "") + (", attempts = attempts + 1" if in_vain else "")
    statement = f"""
        UPDATE {TABLE} SET status = 'starting', fence = NULL, lease_until = NULL,
            next_send_at = {sql.later.format("%(delay)s")}{mark}
        WHERE {sql.among.format("ids")} AND status = 'processing' AND fence = %(fence)s
        RETURNING id"""
    with writing():
        found = fetch(statement, {"ids": sql.ids(ids), "fence": sql.id(fence), "delay": delay_s})
    return sorted(as_uuid(row[0]) for row in found)


def cancel(project_id: int, identifier: UUID) -> bool:
    """End an open prediction at once; a worker that still runs it settles nothing. False when it had ended."""
    sql = dialect()
    return bool(
        _update(
            f"status = 'canceled', completed_at = {sql.now}, fence = NULL, lease_until = NULL",
            f"{sql.among.format('ids')} AND project_id = %(project)s AND status IN ('starting', 'processing')",
            {"ids": sql.ids([identifier]), "project": project_id},
        )
    )


def return_running() -> int:
    """Start-up of an embedded server, which holds the data lock: nobody else runs anything, and no message is left.

    Every running row goes back to waiting, and every waiting row is due at once.
    """
    sql = dialect()
    return _update(
        f"status = 'starting', fence = NULL, lease_until = NULL, next_send_at = {sql.now}, sends = 0",
        "recorded_at IS NULL AND status IN ('starting', 'processing')",
        {},
    )


def _update(assignments: str, where: str, params: dict[str, Any]) -> int:
    with writing():
        return execute(f"UPDATE {TABLE} SET {assignments} WHERE {where}", params)
