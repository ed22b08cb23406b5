"""Acceptance: requests that wait at the same moment become rows in one transaction, whose commit is the promise."""

# ruff: noqa: S608 - every fragment that is put together here is a constant of this room

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import DataError, IntegrityError, connection

from models_registry import errors
from predictions.models import Prediction
from predictions.queued.database import as_moment, dialect, fetch, writing

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
    cache: str = ""
    subject: str = ""
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The row that stands for a draft: its own, or (`replayed`) the one an earlier request made with its key."""

    id: UUID
    accepted_at: datetime
    deadline_at: datetime
    replayed: bool = False


#: What a draft brings, with PostgreSQL's type of it; the other columns are the same in every new row.
_BROUGHT = {
    **{"id": "uuid", "project_id": "bigint", "project": "text", "key": "text", "request_id": "text", "model": "text"},
    **{"version": "integer", "version_id": "uuid", "digest": "text", "route": "text", "pool": "text"},
    **{"priority": "text", "rows": "integer", "input": "bytea", "idempotency_key": "text", "body_hash": "text"},
    **{"cache": "text", "subject": "text", "traceparent": "text"},
}
_NEW = {
    **{"protocol": "'replicate'", "status": "'starting'", "error_code": "''", "error": "''", "sends": "0"},
    **{"attempts": "0", "inference_ms": "0", "alone": "FALSE"},
}
_COLUMNS = ",".join(f'"{name}"' for name in (*_BROUGHT, *_NEW, "accepted_at", "deadline_at", "next_send_at"))
_INTO = f"INSERT INTO {TABLE} ({_COLUMNS})"


def accept(drafts: Sequence[Draft]) -> list[Accepted | Exception]:
    """Insert all drafts in one transaction: the commit is acceptance. One outcome per draft, in order.

    Sorted by (project, key), because keys inserted in random order deadlock. Only a data error splits the group,
    by halves, so that the one bad row fails alone; anything else fails all of them.
    """
    ordered = sorted(drafts, key=lambda draft: (draft.project_id, draft.idempotency_key or "", draft.id))
    outcomes = _accept_or_split(ordered)
    return [outcomes[draft.id] for draft in drafts]


def standing(project_id: int, idempotency_key: str | None, body_hash: str) -> Accepted | Exception | None:
    """What stands under a key: the earlier acceptance, `InvalidInput` when its body differed, None when free."""
    if idempotency_key is None:
        return None
    rows = _under_keys({project_id}, [idempotency_key])
    return _judged(rows.get((project_id, idempotency_key)), body_hash)


def _under_keys(projects: set[int], keys: Sequence[str]) -> dict[tuple[int, str | None], tuple[Any, ...]]:
    """What stands under these keys in these projects: id, times and hash, by project and key."""
    rows = Prediction.objects.filter(project_id__in=projects, idempotency_key__in=keys)
    columns = ("project_id", "idempotency_key", "id", "accepted_at", "deadline_at", "body_hash")
    return {(row[0], row[1]): row[2:] for row in rows.order_by().values_list(*columns)}


def _judged(row: tuple[Any, ...] | None, body_hash: str) -> Accepted | Exception | None:
    if row is None:
        return None
    if row[3] != body_hash:
        return errors.InvalidInput("this Idempotency-Key was used with another request", field="Idempotency-Key")
    return Accepted(row[0], row[1], row[2], replayed=True)


def _accept_or_split(drafts: Sequence[Draft]) -> dict[UUID, Accepted | Exception]:
    try:
        insert = _postgresql_insert(drafts) if connection.vendor == "postgresql" else _sqlite_insert(drafts)
        with writing():
            moment, count = insert()
            if count < len(drafts):
                return _read_back(drafts)
    except (DataError, IntegrityError, ValueError, OverflowError) as error:
        if len(drafts) == 1:
            # The first line alone: PostgreSQL's second one shows the row.
            reason = str(error).partition("\n")[0]
            return {drafts[0].id: errors.InvalidInput(f"the database cannot hold this request: {reason}")}
        half = len(drafts) // 2
        return {**_accept_or_split(drafts[:half]), **_accept_or_split(drafts[half:])}
    return {draft.id: Accepted(draft.id, moment, moment + timedelta(seconds=draft.deadline_s)) for draft in drafts}


#: Gives the moment of acceptance, and how many became rows. What needs no turn at the database was done before.
Insert = Callable[[], tuple[datetime, int]]


def _postgresql_insert(drafts: Sequence[Draft]) -> Insert:
    """One statement, the same text for a group of any size."""
    params = [[getattr(draft, name) for draft in drafts] for name in (*_BROUGHT, "deadline_s")]

    def insert() -> tuple[datetime, int]:
        ((moment, count),) = fetch(_POSTGRESQL, params, is_planned_once=True)
        return moment, count

    return insert


_POSTGRESQL = f"""
    WITH added AS (
        {_INTO} SELECT {",".join(f'u."{name}"' for name in _BROUGHT)}, {",".join(_NEW.values())}, statement_timestamp(),
            statement_timestamp() + u.deadline_s * interval '1 second',
            statement_timestamp() + {FIRST_SEND_S} * interval '1 second'
        FROM unnest({",".join(f"%b::{kind}[]" for kind in (*_BROUGHT.values(), "float8"))})
            AS u({",".join(f'"{name}"' for name in _BROUGHT)}, deadline_s)
        ON CONFLICT DO NOTHING RETURNING 1)
    SELECT statement_timestamp(), count(*) FROM added"""


def _sqlite_insert(drafts: Sequence[Draft]) -> Insert:
    """The same, as one statement that is compiled once and run for each draft: half the time of one for them all."""
    sql = dialect()
    ((now,),) = fetch(f"SELECT {sql.now % ()}", ())
    moment = as_moment(now)
    first_send = _text(moment, FIRST_SEND_S)
    params = [
        (
            *(_plain(getattr(draft, name)) for name in _BROUGHT),
            now,
            _text(moment, draft.deadline_s),
            first_send,
        )
        for draft in drafts
    ]

    def insert() -> tuple[datetime, int]:
        with connection.cursor() as cursor:
            cursor.executemany(_SQLITE, params)
            return moment, int(cursor.rowcount)

    return insert


_SQLITE = (
    f"{_INTO} VALUES ({','.join(['%s'] * len(_BROUGHT))},{','.join(_NEW.values())},%s,%s,%s) ON CONFLICT DO NOTHING"
)


def _plain(value: Any) -> Any:
    return value.hex if isinstance(value, UUID) else value


def _text(moment: datetime, seconds: float) -> str:
    """So many seconds later, as SQLite's columns hold times."""
    return (moment + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat(" ", "microseconds")


def _read_back(drafts: Sequence[Draft]) -> dict[UUID, Accepted | Exception]:
    """Where a key stood in the way: who was accepted, by minted id; then what stands under the keys of the others."""
    rows = Prediction.objects.filter(id__in=[draft.id for draft in drafts])
    found: dict[UUID, Accepted | Exception] = {
        identifier: Accepted(identifier, accepted_at, deadline_at)
        for identifier, accepted_at, deadline_at in rows.values_list("id", "accepted_at", "deadline_at")
    }
    others = [draft for draft in drafts if draft.id not in found]
    standing_rows = _under_keys({one.project_id for one in others}, [one.idempotency_key or "" for one in others])
    for draft in others:
        earlier = _judged(standing_rows.get((draft.project_id, draft.idempotency_key)), draft.body_hash)
        found[draft.id] = earlier or errors.Unavailable("the request was not stored; send it again", retry_after=1)
    return found
