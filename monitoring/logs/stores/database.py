"""The log store in the site's own database: what the embedded mode uses. It keeps the newest lines only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.db import DatabaseError, connection, transaction
from django.db.models import QuerySet
from django.db.utils import DataError, IntegrityError

from monitoring import ids
from monitoring.logs.lines import LEVELS, LogLine
from monitoring.logs.stores.base import LogPage, LogQuery, Outcome
from monitoring.models import LogRow
from monitoring.stores import cursors
from monitoring.stores.base import StoreUnavailable

#: Lines per transaction: SQLite has one writer at a time, and accepted predictions wait for it too.
CHUNK = 200
#: Rows one search looks through at most; a page may then be short, and its cursor goes on behind them.
MOST_SCANNED = 50_000
#: Lines that are kept, whatever the retention: a flood of them must not fill the disk that predictions need.
MOST_KEPT = 200_000
#: Lines added by one process between two looks at whether there are too many.
_LOOK_EVERY = 5_000
_PURGED_AT_ONCE = 1000
_FIELDS = {
    "service": "service.name",
    "action": "event.action",
    "project": "labels.project",
    "model": "labels.model",
    "request_id": "http.request.id",
    "prediction_id": "labels.prediction_id",
    "trace_id": "trace.id",
}
#: Columns with an index of their own: few lines have the same value, so no bound is needed.
_INDEXED = ("request_id", "prediction_id", "trace_id")
_TEXTS = ("message", "error.type", "error.message", "error.stack_trace", "url.path")

_added = 0


class DatabaseLogs:
    """`monitoring.logs.stores.base.LogStore` on `LogRow`."""

    def add(self, lines: Sequence[LogLine]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for start in range(0, len(lines), CHUNK):
            outcomes += _add(lines[start : start + CHUNK])
        self._bound(len(lines))
        return outcomes

    def get(self, identifier: UUID) -> LogLine | None:
        with _reachable():
            found = LogRow.objects.filter(pk=identifier).values_list("id", "document").first()
        return _line(found) if found else None

    def search(self, query: LogQuery) -> LogPage:
        rows = _between(query)
        with _reachable():
            boundary = None
            if not any(getattr(query, name) for name in _INDEXED):
                boundary = rows.values_list("id", flat=True)[MOST_SCANNED - 1 : MOST_SCANNED].first()
            if boundary is not None:
                rows = rows.filter(id__gte=boundary)
            found = list(_meeting(rows, query).values_list("id", "document")[: query.limit + 1])
        last = found[query.limit - 1][0] if len(found) > query.limit else boundary
        return LogPage(tuple(map(_line, found[: query.limit])), cursors.encode(last) if last is not None else None)

    def purge(self, before: datetime) -> int:
        return _drop_older(ids.first_of(before))

    def _bound(self, added: int) -> None:
        """Now and then: drop the oldest beyond what is kept."""
        global _added
        _added += added
        if _added < min(_LOOK_EVERY, MOST_KEPT):
            return
        _added = 0
        with _reachable():
            oldest = LogRow.objects.order_by("-id").values_list("id", flat=True)[MOST_KEPT - 1 : MOST_KEPT].first()
        if oldest is not None:
            _drop_older(oldest)


def _between(query: LogQuery) -> QuerySet[LogRow]:
    """The lines of the query's time, behind its cursor, newest first."""
    rows = LogRow.objects.order_by("-id")
    if query.cursor:
        rows = rows.filter(id__lt=cursors.decode(query.cursor))
    if query.since is not None:
        rows = rows.filter(id__gte=ids.first_of(query.since))
    return rows if query.until is None else rows.filter(id__lt=ids.first_of(query.until))


def _meeting(rows: QuerySet[LogRow], query: LogQuery) -> QuerySet[LogRow]:
    named = {name: getattr(query, name) for name in _FIELDS if getattr(query, name) is not None}
    rows = rows.filter(**named)
    if query.level is not None:
        rows = rows.filter(level__gte=LEVELS[query.level])
    for word in (query.text or "").split():
        rows = rows.filter(text__icontains=word)
    return rows


def _add(lines: Sequence[LogLine]) -> list[Outcome]:
    """Insert one chunk in one short transaction; what the database cannot take is found by halving."""
    by_id = {line.id: line for line in lines}
    # Sorted by id: two keepers that insert the same lines in different orders would deadlock in PostgreSQL.
    rows = [_row(by_id[identifier]) for identifier in sorted(by_id)]
    try:
        with transaction.atomic():
            there = set(LogRow.objects.filter(id__in=list(by_id)).order_by().values_list("id", flat=True))
            LogRow.objects.bulk_create([row for row in rows if row.id not in there], ignore_conflicts=True)
    except (DataError, IntegrityError, ValueError, OverflowError):
        if len(lines) == 1:
            return [Outcome.REJECTED]
        middle = len(lines) // 2
        return _add(lines[:middle]) + _add(lines[middle:])
    except DatabaseError as error:
        raise StoreUnavailable(str(error)) from error
    outcomes = []
    for line in lines:
        outcomes.append(Outcome.DUPLICATE if line.id in there else Outcome.STORED)
        there.add(line.id)
    return outcomes


def _row(line: LogLine) -> LogRow:
    columns: dict[str, Any] = {name: line.text(field)[:128] for name, field in _FIELDS.items()}
    columns.update({name: columns[name] or None for name in _INDEXED})
    return LogRow(
        id=line.id,
        level=LEVELS[line.text("log.level")],
        text=" ".join(filter(None, map(line.text, _TEXTS))),
        document=orjson.dumps(dict(line.fields)).decode(),
        **columns,
    )


def _line(found: tuple[UUID, str]) -> LogLine:
    return LogLine(found[0], orjson.loads(found[1]))


def _drop_older(than: UUID) -> int:
    dropped = 0
    with _reachable():
        while chunk := list(
            LogRow.objects.filter(id__lt=than).order_by("id").values_list("id", flat=True)[:_PURGED_AT_ONCE]
        ):
            dropped += LogRow.objects.filter(id__in=chunk)._raw_delete(connection.alias)
    return dropped


class _reachable:
    """Turns a database that does not answer into `StoreUnavailable`."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, DatabaseError):
            raise StoreUnavailable(str(error)) from error
