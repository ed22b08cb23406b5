"""`stores.base.Query` as a query of the site's own database."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, FloatField, Func, OuterRef, QuerySet

from monitoring import ids
from monitoring.models import RecordRow, RecordValue
from monitoring.stores.base import Query, Range


def indexed(query: Query) -> QuerySet[RecordRow]:
    """The part of a query that indexes and the order of ids answer, newest first."""
    rows = RecordRow.objects.order_by("-id")
    if query.project is not None:
        rows = rows.filter(project=query.project)
    if query.model is not None:
        rows = rows.filter(model=query.model)
    if query.status is not None:
        rows = rows.filter(status=query.status)
    if query.since is not None:
        rows = rows.filter(id__gte=ids.first_of(query.since))
    if query.until is not None:
        rows = rows.filter(id__lt=ids.first_of(query.until))
    return rows


def unindexed(rows: QuerySet[RecordRow], query: Query) -> QuerySet[RecordRow]:
    """The part that has to look at rows."""
    exact = {
        "version": query.version,
        "door": query.door,
        "error_code": query.error_code,
        "request_id": query.request_id,
        "subject": query.subject,
        "total_ms__gte": query.least_ms,
        "total_ms__lte": query.most_ms,
        "error__icontains": query.error_text,
    }
    rows = rows.filter(**{name: wanted for name, wanted in exact.items() if wanted is not None})
    for condition in query.values:
        rows = rows.filter(Exists(matching_values(condition)))
    if query.text is not None:
        rows = rows.filter(Exists(RecordValue.objects.filter(record=OuterRef("pk"), text__icontains=query.text)))
    return rows


def matching_values(condition: Range) -> QuerySet[RecordValue]:
    bounds = {"number__gte": condition.least, "number__lte": condition.most, "text": condition.text}
    return RecordValue.objects.filter(
        record=OuterRef("pk"),
        side=condition.side,
        name=condition.name,
        **{name: bound for name, bound in bounds.items() if bound is not None},
    )


class Stretch(Func):
    """The beginning, in seconds since the epoch, of the stretch of `seconds` that a time lies in."""

    output_field = FloatField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        seconds = int(self.extra["seconds"])
        template = f"(CAST(strftime('%%%%s', %(expressions)s) AS INTEGER) / {seconds} * {seconds})"
        return self.as_sql(compiler, connection, template=template, **context)

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        seconds = int(self.extra["seconds"])
        template = f"(floor(extract(epoch FROM %(expressions)s) / {seconds}) * {seconds})"
        return self.as_sql(compiler, connection, template=template, **context)
