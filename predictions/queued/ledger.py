"""The promise, as SQL: accept, claim, renew, settle, release, cancel. The keeper's verbs are in `sweeps`.

Every verb is one conditional statement whose rows decide. Whatever ends a row names the states it leaves and clears
the fence in the same UPDATE, so the first ending wins and a late settle hits nothing.
"""

# ruff: noqa: S608 - every fragment that is put together here is a constant of this room

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import DataError, IntegrityError

from models_registry import errors
from predictions.models import Prediction
from predictions.queued.database import as_uuid, dialect, execute, fetch, writing

TABLE = Prediction._meta.db_table

#: Seconds after which the keeper sends a nudge for a row whose first hint went missing.
FIRST_SEND_S = 30.0


@dataclass(frozen=True, slots=True)
class Draft:
    """One request on its way to become a row. `input` is the input object as JSON."""

    id: UUID
    project_id: int
    project: str
    key: str
    request_id: str
    model: str
    version: int
    version_id: UUID
    digest: str
    route: str
    pool: str
    priority: str
    rows: int
    input: bytes
    deadline_s: float
    idempotency_key: str | None = None
    body_hash: str = ""
    subject: str = ""
    cache: str = ""
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The row that stands for a draft: its own, or (`replayed`) the one an earlier request made with its key."""

    id: UUID
    accepted_at: datetime
    deadline_at: datetime
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Claimed:
    """A row this process may run until its lease ends; writes need `fence`."""

    id: UUID
    fence: UUID
    project: str
    model: str
    version: int
    version_id: UUID
    rows: int
    input: bytes
    alone: bool
    attempts: int
    cache: str = ""
    traceparent: str = ""


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


_BOUND = [
    *("id", "project_id", "project", "key", "request_id", "model", "version", "version_id", "digest", "route"),
    *("pool", "priority", "rows", "input", "idempotency_key", "body_hash", "cache", "subject", "traceparent"),
]


def accept(drafts: Sequence[Draft]) -> list[Accepted | Exception]:
    """Insert all drafts in one statement: the commit is acceptance. One outcome per draft, in order.

    Sorted by (project, key), because keys inserted in random order deadlock. Only a data error splits the group,
    by halves, so that the one bad row fails alone; anything else fails all of them.
    """
    ordered = sorted(drafts, key=lambda draft: (draft.project_id, draft.idempotency_key or "", draft.id))
    outcomes = _accept_or_split(ordered)
    return [outcomes[draft.id] for draft in drafts]


def _accept_or_split(drafts: Sequence[Draft]) -> dict[UUID, Accepted | Exception]:
    try:
        with writing():
            _insert(drafts)
            return _read_back(drafts)
    except (DataError, IntegrityError, ValueError, OverflowError) as error:
        if len(drafts) == 1:
            return {drafts[0].id: errors.InvalidInput(f"the database cannot hold this request: {error}")}
        half = len(drafts) // 2
        return {**_accept_or_split(drafts[:half]), **_accept_or_split(drafts[half:])}


def _insert(drafts: Sequence[Draft]) -> None:
    sql = dialect()
    row = f"({','.join(['%s'] * len(_BOUND))},'replicate','starting','','',{sql.now},{sql.later.format('%s')},"
    row += f"{sql.later.format(FIRST_SEND_S)},0,0,0,FALSE)"
    params: list[Any] = []
    for draft in drafts:
        values = [getattr(draft, name) for name in _BOUND]
        params += [sql.id(value) if isinstance(value, UUID) else value for value in values]
        params.append(draft.deadline_s)
    columns = [*_BOUND, "protocol", "status", "error_code", "error", "accepted_at", "deadline_at", "next_send_at"]
    columns += ["sends", "attempts", "inference_ms", "alone"]
    names = ",".join(f'"{column}"' for column in columns)
    values_sql = ",".join([row] * len(drafts))
    execute(f"INSERT INTO {TABLE} ({names}) VALUES {values_sql} ON CONFLICT DO NOTHING", params)


def _read_back(drafts: Sequence[Draft]) -> dict[UUID, Accepted | Exception]:
    """Who was accepted, by minted id; then what stands under the keys of the others."""
    rows = Prediction.objects.filter(id__in=[draft.id for draft in drafts])
    found: dict[UUID, Accepted | Exception] = {
        identifier: Accepted(identifier, accepted_at, deadline_at)
        for identifier, accepted_at, deadline_at in rows.values_list("id", "accepted_at", "deadline_at")
    }
    for draft in drafts:
        if draft.id not in found:
            earlier = standing(draft.project_id, draft.idempotency_key, draft.body_hash)
            found[draft.id] = earlier or errors.Unavailable("the request was not stored; send it again", retry_after=1)
    return found


def standing(project_id: int, idempotency_key: str | None, body_hash: str) -> Accepted | Exception | None:
    """What stands under a key: the earlier acceptance, `InvalidInput` when its body differed, None when free."""
    if idempotency_key is None:
        return None
    row = (
        Prediction.objects.filter(project_id=project_id, idempotency_key=idempotency_key)
        .values_list("id", "accepted_at", "deadline_at", "body_hash")
        .first()
    )
    if row is None:
        return None
    if row[3] != body_hash:
        return errors.InvalidInput("this Idempotency-Key was used with another request", field="Idempotency-Key")
    return Accepted(row[0], row[1], row[2], replayed=True)


def claim(ids: Sequence[UUID], *, lease_s: float, max_attempts: int) -> list[Claimed]:
    """Take what waits, or whose lease has expired; rows of others and ended rows are left alone.

    A row that is to run alone is taken only when it is asked for alone.
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
        WHERE id IN (SELECT id FROM free)
        RETURNING id, project, model, version, version_id, rows, input, alone, attempts, cache,
            traceparent"""
    params = {"ids": sql.ids(ids), "fence": sql.id(fence), "lease": lease_s, "max_attempts": max_attempts}
    with writing():
        found = fetch(statement, params)
    claimed = [
        Claimed(
            id=as_uuid(row[0]),
            fence=fence,
            project=row[1],
            model=row[2],
            version=row[3],
            version_id=as_uuid(row[4]),
            rows=row[5],
            input=bytes(row[6]),
            alone=bool(row[7]),
            attempts=row[8],
            cache=row[9],
            traceparent=row[10],
        )
        for row in found
    ]
    return sorted(claimed, key=lambda row: row.id)


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


def settle(fence: UUID, endings: Sequence[Settled]) -> set[UUID]:
    """End claimed rows, each once; returns the ids that were still this fence's own."""
    if not endings:
        return set()
    sql = dialect()
    values = ",".join(["(%s,%s,%s,%s,%s,%s,%s)"] * len(endings))
    statement = f"""
        WITH ended(prediction, ending, answer, code, reason, took, cached) AS (VALUES {values})
        UPDATE {TABLE} SET status = ended.ending, output = CAST(ended.answer AS {sql.binary}),
            error_code = ended.code, error = ended.reason, inference_ms = ended.took, cache = ended.cached,
            completed_at = {sql.now}, fence = NULL, lease_until = NULL
        FROM ended WHERE id = ended.prediction AND status = 'processing' AND fence = %s
        RETURNING id"""
    params: list[Any] = []
    for end in endings:
        params += [sql.id(end.id), end.status, end.output, end.error_code, end.error, end.inference_ms, end.cache]
    with writing():
        return {as_uuid(row[0]) for row in fetch(statement, [*params, sql.id(fence)])}


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
