"""Where SQLite and PostgreSQL differ, in one place: clocks, lists of ids, locks, and how values travel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
from django.db import connection, transaction

__all__ = ["as_moment", "as_uuid", "dialect", "execute", "fetch", "writing", "writing_unflushed"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """SQL fragments of one database. Times are always the database's: clocks of processes may differ.

    `later` is now plus the number of seconds bound to `{0}`; `among` is true for an id in the list bound to `{0}`.
    `unflushed` is the FROM of an UPDATE whose loss a crash of the database may cause: its commit waits for no disk.
    """

    now: str
    later: str
    among: str
    skip_locked: str
    unflushed: str
    random: str
    binary: str

    def ids(self, identifiers: Sequence[UUID]) -> Any:
        """The parameter for `among`."""
        if self.binary == "bytea":
            return list(identifiers)
        return "[" + ",".join(f'"{identifier.hex}"' for identifier in identifiers) + "]"

    def id(self, identifier: UUID | None) -> Any:
        """The parameter for one UUID column."""
        return identifier if identifier is None or self.binary == "bytea" else identifier.hex


# SQLite compares times as text, so every time is written with six digits, as Django writes its own.
_SQLITE = Dialect(
    now="strftime('%%Y-%%m-%%d %%H:%%M:%%f000','now')",
    later="strftime('%%Y-%%m-%%d %%H:%%M:%%f000','now',({0})||' seconds')",
    among="id IN (SELECT value FROM json_each(%({0})s))",
    skip_locked="",
    unflushed="",
    random="(abs(random() %% 1000) / 1000.0)",
    binary="blob",
)
_POSTGRESQL = Dialect(
    now="statement_timestamp()",
    later="statement_timestamp() + ({0}) * interval '1 second'",
    among="id = ANY(%({0})b)",
    skip_locked="FOR UPDATE SKIP LOCKED",
    unflushed="FROM set_config('synchronous_commit', 'off', true)",
    random="random()",
    binary="bytea",
)


def dialect() -> Dialect:
    return _POSTGRESQL if connection.vendor == "postgresql" else _SQLITE


def writing() -> AbstractContextManager[None]:
    """One short write transaction. Raises `OperationalError` when SQLite's one writer did not finish in time.

    On PostgreSQL each verb is one statement, a transaction by itself: BEGIN and COMMIT would be two trips more.
    """
    return nullcontext() if connection.vendor == "postgresql" else transaction.atomic()


@contextmanager
def writing_unflushed() -> Iterator[None]:
    """The same for what a power cut may lose: SQLite's commit waits for no disk. What was committed before is kept by
    its own flush, and the next flush keeps this too, because all commits stand one behind the other in one file."""
    if connection.vendor == "postgresql" or connection.in_atomic_block:
        with writing():
            yield
        return
    execute("PRAGMA synchronous = NORMAL", ())
    try:
        with writing():
            yield
    finally:
        execute("PRAGMA synchronous = FULL", ())


def fetch(sql: str, params: Any, *, is_planned_once: bool = False) -> list[tuple[Any, ...]]:
    """Run one statement and return all its rows.

    PostgreSQL may keep the plan of one that can be run in one way only, however its tables grow (`is_planned_once`).

    On PostgreSQL with binary answers, and lists of values go there in binary (`%b`): psycopg writes them in an eighth
    of the time, and bytes need no escapes. Django's own cursor writes and reads text.
    """
    if connection.vendor == "postgresql":
        connection.ensure_connection()
        with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
            return list(cursor.execute(sql, params, prepare=is_planned_once, binary=True).fetchall())
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


def execute(sql: str, params: Any) -> int:
    """Run one statement and return how many rows it changed."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return int(cursor.rowcount)


def as_uuid(value: Any) -> UUID:
    """An id as a raw cursor gives it."""
    return value if isinstance(value, UUID) else UUID(hex=value)


def as_moment(value: Any) -> Any:
    """A time, or None, as a raw cursor gives it; SQLite's have no zone, and those no column stands for are text."""
    found = datetime.fromisoformat(value) if type(value) is str else value
    return found.replace(tzinfo=UTC) if found is not None and found.tzinfo is None else found
