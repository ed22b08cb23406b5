"""Listings and the queue: reads that never count or walk a huge table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from models_registry import errors
from predictions.models import Prediction
from predictions.queued.horizon import HORIZON

#: Predictions on one page.
PAGE = 100
#: Rows one page looks at; a page may be short, its cursor goes on behind what was looked at.
WINDOW = 20_000
#: A position in the queue is exact up to here.
MOST_AHEAD = 10_000


@dataclass(frozen=True, slots=True)
class Filter:
    """What a listing shows; `models` are those a key may see, None for all.

    `newer` and `older` are cursors: only rows beyond that id, in that direction.
    """

    project_id: int
    models: frozenset[str] | None = None
    status: str | None = None
    model: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    older: UUID | None = None
    newer: UUID | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Newest first; the cursors are ids, None where nothing lies beyond."""

    rows: list[Prediction]
    older: UUID | None = None
    newer: UUID | None = None


def page(wanted: Filter, *, size: int = PAGE) -> Page:
    """One page, newest first."""
    rows = _within(wanted)
    if wanted.newer is not None:
        return _newer_page(rows, wanted, size)
    if wanted.older is not None:
        rows = rows.filter(id__lt=wanted.older)
    edge = rows.order_by("-id").values_list("id", flat=True)[WINDOW : WINDOW + 1].first()
    if edge is not None:
        rows = rows.filter(id__gt=edge)
    found = list(_matching(rows, wanted).order_by("-id")[: size + 1])
    more, found = len(found) > size, found[:size]
    older = found[-1].id if more else edge
    newer = found[0].id if wanted.older is not None and found else None
    return Page(found, older=older, newer=newer)


def _newer_page(rows: QuerySet[Prediction], wanted: Filter, size: int) -> Page:
    rows = rows.filter(id__gt=wanted.newer)
    edge = rows.order_by("id").values_list("id", flat=True)[WINDOW : WINDOW + 1].first()
    if edge is not None:
        rows = rows.filter(id__lt=edge)
    found = list(_matching(rows, wanted).order_by("id")[: size + 1])
    more, found = len(found) > size, found[:size][::-1]
    if not found:
        return Page([], older=wanted.newer, newer=edge)
    return Page(found, older=found[-1].id, newer=found[0].id if more else edge)


def position(identifier: UUID, *, pool: str, priority: str) -> int:
    """Place of a waiting prediction among those of its pool and priority, from 1."""
    ahead = Prediction.objects.filter(
        recorded_at__isnull=True,
        status=Prediction.Status.STARTING,
        pool=pool,
        priority=priority,
        id__gte=HORIZON.least(),
        id__lt=identifier,
    )
    return len(ahead.order_by().values_list("id", flat=True)[:MOST_AHEAD]) + 1


def _within(wanted: Filter) -> QuerySet[Prediction]:
    """The stretch of time, as a stretch of ids: they begin with the milliseconds of acceptance."""
    rows = Prediction.objects.all()
    if wanted.since is not None:
        rows = rows.filter(id__gte=_id_at(wanted.since))
    if wanted.until is not None:
        rows = rows.filter(id__lt=_id_at(wanted.until))
    return rows


def _matching(rows: QuerySet[Prediction], wanted: Filter) -> QuerySet[Prediction]:
    rows = rows.filter(project_id=wanted.project_id)
    if wanted.models is not None:
        rows = rows.filter(model__in=wanted.models)
    if wanted.model is not None:
        rows = rows.filter(model=wanted.model)
    if wanted.status == "canceled":  # what this protocol calls so
        rows = rows.filter(status__in=[Prediction.Status.CANCELED, Prediction.Status.ABORTED])
    elif wanted.status is not None:
        rows = rows.filter(status=wanted.status)
    return rows


def _id_at(moment: datetime) -> UUID:
    milliseconds = int(moment.timestamp() * 1000)
    if not 0 <= milliseconds < 1 << 48:
        raise errors.InvalidInput("a time between 1970 and 10889", field="since")
    return UUID(int=milliseconds << 80)
