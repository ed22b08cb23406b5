"""The record store in the site's own database (SQLite or PostgreSQL): what the embedded mode uses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import Error, connection, transaction
from django.db.models import Avg, Count, F, Max, QuerySet
from django.db.utils import DataError, IntegrityError

from monitoring import documents, ids
from monitoring.models import RecordRow, RecordValue
from monitoring.records import Record
from monitoring.stores import cursors, database_timeline
from monitoring.stores.base import Count as Counted
from monitoring.stores.base import Outcome, Page, Query, RecordStore, StoreUnavailable
from monitoring.stores.database_queries import Stretch, indexed, unindexed
from monitoring.stores.timeline import Timeline

#: Records per transaction: SQLite has one writer at a time, and accepted predictions wait for it too.
CHUNK = 200
#: Values per statement.
VALUES_CHUNK = 500
#: Rows one search looks through at most; a page may then be short, and its cursor goes on behind them.
MOST_SCANNED = 50_000
MOST_COUNTS = 10_000
MOST_PURGED_AT_ONCE = 1000
#: Records a stream has in memory at once.
STREAMED = 500

_COLUMNS = (
    "id",
    "project",
    "model",
    "version",
    "status",
    "door",
    "error_code",
    "error",
    "request_id",
    "subject",
    "accepted_at",
    "total_ms",
    "content_hash",
    "document",
)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One record made ready for SQL before the transaction begins."""

    id: UUID
    content_hash: str
    row: tuple[Any, ...]
    values: tuple[tuple[Any, ...], ...]


class DatabaseStore(RecordStore):
    """`monitoring.stores.base.RecordStore` on `RecordRow` and `RecordValue`."""

    def create(self, records: Sequence[Record]) -> list[Outcome]:
        entries = [_entry(record) for record in records]
        outcomes: dict[int, Outcome] = {}
        for start in range(0, len(entries), CHUNK):
            chunk = list(enumerate(entries[start : start + CHUNK], start))
            outcomes.update(_create(chunk))
        return [outcomes[index] for index in range(len(entries))]

    def get(self, project: str | None, identifier: UUID) -> Record | None:
        rows = RecordRow.objects.filter(id=identifier)
        with _reachable():
            rows = rows if project is None else rows.filter(project=project)
            row = rows.values_list("document", flat=True).first()
        return None if row is None else _record(row)

    def search(self, query: Query) -> Page:
        candidates = indexed(query)
        if query.cursor:
            candidates = candidates.filter(id__lt=cursors.decode(query.cursor))
        with _reachable():
            boundary = candidates.values_list("id", flat=True)[MOST_SCANNED - 1 : MOST_SCANNED].first()
            matching = unindexed(candidates, query)
            if boundary is not None:
                matching = matching.filter(id__gte=boundary)
            found = list(matching.values_list("id", "document")[: query.limit + 1])
        records = tuple(_record(document) for _, document in found[: query.limit])
        last = found[query.limit - 1][0] if len(found) > query.limit else boundary
        return Page(records, cursors.encode(last) if last is not None else None)

    def counts(self, query: Query, *, seconds: int) -> list[Counted]:
        with _reachable():
            rows = (
                unindexed(indexed(query), query)
                .order_by()
                .annotate(stretch=Stretch(F("accepted_at"), seconds=seconds))
                .values_list("stretch", "model", "version", "status")
                .annotate(count=Count("*"), mean_ms=Avg("total_ms"), most_ms=Max("total_ms"))
                .order_by("stretch", "model", "version", "status")
            )[:MOST_COUNTS]
            return [
                Counted(datetime.fromtimestamp(stretch, UTC), model, version, status, count, _facts(mean_ms, most_ms))
                for stretch, model, version, status, count, mean_ms, most_ms in rows
            ]

    def timeline(self, query: Query, *, start: datetime, end: datetime, buckets: int, outputs: bool = True) -> Timeline:
        matching = replace(query, since=start, until=end)
        with _reachable():
            rows = unindexed(indexed(matching), matching)
            return database_timeline.read(rows, start=start, end=end, buckets=buckets, outputs=outputs)

    def present(self, identifiers: Sequence[UUID]) -> set[UUID]:
        found: set[UUID] = set()
        with _reachable():
            for start in range(0, len(identifiers), 500):
                chunk = identifiers[start : start + 500]
                found.update(RecordRow.objects.filter(id__in=chunk).order_by().values_list("id", flat=True))
        return found

    def count(self, query: Query) -> int:
        with _reachable():
            return unindexed(indexed(query), query).order_by().count()

    def stream(self, query: Query) -> Iterator[dict[str, Any]]:
        rows = unindexed(indexed(query), query).order_by("id").values_list("id", "document")
        last = None
        while True:
            with _reachable():
                found = list((rows if last is None else rows.filter(id__gt=last))[:STREAMED])
            for last, document in found:  # noqa: B007 - where the next page begins
                yield documents.decode(bytes(document))
            if len(found) < STREAMED:
                return

    def remove(self, query: Query) -> int:
        with _reachable():
            return _remove(unindexed(indexed(query), query))

    def purge(self, before: datetime) -> int:
        with _reachable():
            return _remove(RecordRow.objects.filter(id__lt=ids.first_of(before)))


def _remove(rows: QuerySet[RecordRow]) -> int:
    """Delete these rows with their values, chunk by chunk; returns how many."""
    removed = 0
    while chunk := list(rows.order_by("id").values_list("id", flat=True)[:MOST_PURGED_AT_ONCE]):
        with transaction.atomic():
            RecordValue.objects.filter(record_id__in=chunk)._raw_delete(connection.alias)
            RecordRow.objects.filter(id__in=chunk)._raw_delete(connection.alias)
        removed += len(chunk)
    return removed


def _entry(record: Record) -> _Entry:
    """A record as parameters; the columns are clipped and cleaned, since `document` holds the truth."""
    document = documents.encode_record(record)
    content_hash = documents.content_hash(document)
    identifier = _uuid(record.id)
    row = (
        identifier,
        record.project[:64],
        record.model[:64],
        record.version,
        record.status,
        record.door,
        record.error_code[:32],
        _clean(record.error)[:10_000],
        _clean(record.request_id)[:128],
        record.subject,
        connection.ops.adapt_datetimefield_value(record.accepted_at),
        record.total_ms,
        content_hash,
        document,
    )
    values = tuple(
        (identifier, value.side, _clean(value.name)[:128], value.number, value.text and _clean(value.text)[:1000])
        for value in record.values
    )
    return _Entry(record.id, content_hash, row, values)


def _create(chunk: list[tuple[int, _Entry]]) -> dict[int, Outcome]:
    """Insert one chunk in one short transaction; what the database cannot take is found by halving."""
    try:
        return _insert(chunk)
    except (DataError, IntegrityError, ValueError, OverflowError):
        if len(chunk) == 1:
            return {chunk[0][0]: Outcome.REJECTED}
        middle = len(chunk) // 2
        return _create(chunk[:middle]) | _create(chunk[middle:])
    except Error as error:
        raise StoreUnavailable(str(error)) from error


def _insert(chunk: list[tuple[int, _Entry]]) -> dict[int, Outcome]:
    # Sorted by id: two keepers that insert the same records in different orders would deadlock in PostgreSQL.
    first = {entry.id: (index, entry) for index, entry in reversed(chunk)}
    ordered = [first[identifier][1] for identifier in sorted(first)]
    if _insert_new(ordered):
        stored = set(first)
    else:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"{_insert_sql(len(ordered))} RETURNING id", _parameters(ordered))
            stored = {_as_uuid(identifier) for (identifier,) in cursor.fetchall()}
            _insert_values(cursor, [entry for entry in ordered if entry.id in stored])
    others = [entry.id for entry in ordered if entry.id not in stored]
    there = dict(RecordRow.objects.filter(id__in=others).order_by().values_list("id", "content_hash")) if others else {}
    return {index: _outcome(index, entry, stored=stored, first=first, there=there) for index, entry in chunk}


def _insert_new(entries: Sequence[_Entry]) -> bool:
    """Insert them if none is there yet, as nearly always; else nothing. Few steps, each of many rows: between two
    steps the interpreter changes hands."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_insert_sql(len(entries)), _parameters(entries))
        if cursor.rowcount < len(entries):
            transaction.set_rollback(True)
            return False
        _insert_values(cursor, entries)
    return True


def _insert_values(cursor: Any, entries: Sequence[_Entry]) -> None:
    values = [value for entry in entries for value in entry.values]
    for start in range(0, len(values), VALUES_CHUNK):
        part = values[start : start + VALUES_CHUNK]
        cursor.execute(_values_sql(len(part)), [item for value in part for item in value])


def _parameters(entries: Sequence[_Entry]) -> list[Any]:
    return [item for entry in entries for item in entry.row]


def _outcome(
    index: int,
    entry: _Entry,
    *,
    stored: set[UUID],
    first: dict[UUID, tuple[int, _Entry]],
    there: dict[UUID, str],
) -> Outcome:
    if entry.id in stored:
        first_index, first_entry = first[entry.id]
        if first_index == index:
            return Outcome.STORED
        return Outcome.DUPLICATE if first_entry.content_hash == entry.content_hash else Outcome.CONFLICT
    if entry.id not in there:  # purged between the insert and the look
        return Outcome.RETRY
    return Outcome.DUPLICATE if there[entry.id] == entry.content_hash else Outcome.CONFLICT


def _insert_sql(count: int) -> str:
    table = connection.ops.quote_name(RecordRow._meta.db_table)
    names = ", ".join(connection.ops.quote_name(name) for name in _COLUMNS)
    row = f"({', '.join(['%s'] * len(_COLUMNS))})"
    return f"INSERT INTO {table} ({names}) VALUES {', '.join([row] * count)} ON CONFLICT DO NOTHING"  # noqa: S608 - names of our own model


def _values_sql(count: int) -> str:
    table = connection.ops.quote_name(RecordValue._meta.db_table)
    rows = ", ".join(["(%s, %s, %s, %s, %s)"] * count)
    return f"INSERT INTO {table} (record_id, side, name, number, text) VALUES {rows}"  # noqa: S608


def _facts(mean_ms: float, most_ms: float) -> dict[str, Any]:
    return {"mean_ms": round(mean_ms, 3), "most_ms": round(most_ms, 3)}


@contextmanager
def _reachable() -> Iterator[None]:
    """Turn the database's own errors into the store's."""
    try:
        yield
    except Error as error:
        raise StoreUnavailable(str(error)) from error


def _record(document: bytes | memoryview) -> Record:
    return documents.from_document(documents.decode(bytes(document)))


def _uuid(identifier: UUID) -> Any:
    return identifier if connection.features.has_native_uuid_field else identifier.hex


def _as_uuid(identifier: Any) -> UUID:
    return identifier if isinstance(identifier, UUID) else UUID(hex=identifier)


def _clean(text: str) -> str:
    """Text that every database takes: no NUL, no lone surrogates."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
