"""Where SQLite and PostgreSQL differ, in one place: clocks, lists of ids, locks, and one writer at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import OperationalError, connection, transaction

#: Seconds a writer waits for the one before it (SQLite); beyond it the database counts as locked.
WRITER_WAIT_S = 5.0

_writer = threading.Lock()


@dataclass(frozen=True, slots=True)
class Dialect:
    """SQL fragments of one database. Times are always the database's: clocks of processes may differ.

    `later` is now plus the number of seconds bound to `{0}`; `among` is true for an id in the list bound to `{0}`.
    """

    now: str
    later: str
    among: str
    skip_locked: str
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
    random="(abs(random() %% 1000) / 1000.0)",
    binary="blob",
)
_POSTGRESQL = Dialect(
    now="statement_timestamp()",
    later="statement_timestamp() + ({0}) * interval '1 second'",
    among="id = ANY(%({0})s)",
    skip_locked="FOR UPDATE SKIP LOCKED",
    random="random()",
    binary="bytea",
)


def dialect() -> Dialect:
    return _POSTGRESQL if connection.vendor == "postgresql" else _SQLITE


@contextmanager
def writing() -> Iterator[None]:
    """One short write transaction. SQLite has one writer: threads queue here fairly instead of polling its lock.

    Raises `OperationalError` when the lock is not had in time.
    """
    if connection.vendor == "postgresql":
        with transaction.atomic():
            yield
        return
    if not _writer.acquire(timeout=WRITER_WAIT_S):
        raise OperationalError("database is locked: another writer did not finish in time")
    try:
        with transaction.atomic():
            yield
    finally:
        _writer.release()


def fetch(sql: str, params: Any) -> list[tuple[Any, ...]]:
    """Run one statement and return all its rows."""
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
