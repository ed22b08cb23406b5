"""`stores.base.Query` as a query of Elasticsearch."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from elasticsearch import Elasticsearch, dsl
from elasticsearch.dsl import Q

from monitoring import ids
from monitoring.stores.base import Query
from monitoring.stores.elastic_layout import Layout


def search(
    client: Elasticsearch, layout: Layout, query: Query, indices: list[str] | str | None = None
) -> dsl.Search[Any]:
    """A bounded search over these indices, or over the days the query can touch."""
    found: dsl.Search[Any] = dsl.Search(using=client, index=indices or _indices(layout, query))
    found = found.params(ignore_unavailable=True, allow_no_indices=True)
    return found.extra(track_total_hits=False, timeout="2s").query("bool", filter=list(conditions(query)))


def windows(layout: Layout, query: Query, after: UUID | None) -> Iterator[list[str] | str]:
    """Where to look for the newest records one after the other: two days, a week before, then everything.

    `after` is the id that the page before ended with. A query bounded in time has one window.
    """
    bounded = days(layout, query)
    if bounded is None:
        newest = ids.time_of(after) if after is not None else query.until or datetime.now(UTC) + timedelta(days=1)
        last = newest.date()
        for first, behind in ((0, 2), (2, 9)):
            yield [layout.index_on(last - timedelta(days=step)) for step in range(first, behind)]
    yield bounded or layout.pattern


def _indices(layout: Layout, query: Query) -> list[str] | str:
    return days(layout, query) or layout.pattern


def days(layout: Layout, query: Query) -> list[str] | None:
    """The days a bounded search can touch, by name; None when it is open or longer than 60 days."""
    if query.since is None:
        return None
    last = (query.until or datetime.now(UTC) + timedelta(days=1)).date()
    number = (last - query.since.date()).days + 1
    if not 0 < number <= 60:
        return None
    return [layout.index_on(query.since.date() + timedelta(days=step)) for step in range(number)]


def conditions(query: Query) -> Iterator[Any]:
    for name in ("project", "model", "version", "status", "door", "error_code", "request_id", "subject"):
        wanted = getattr(query, name)
        if wanted is not None:
            yield Q("term", **{name: wanted})
    if query.error_text is not None:
        yield Q("match", error={"query": query.error_text, "operator": "and"})
    if query.since is not None or query.until is not None:
        yield Q("range", accepted_at=bounds("gte", query.since, "lt", query.until))
    if query.least_ms is not None or query.most_ms is not None:
        yield Q("range", total_ms=bounds("gte", query.least_ms, "lte", query.most_ms))
    if query.text is not None:
        words = Q("match", **{"values.text.words": {"query": query.text, "operator": "and"}})
        yield Q("nested", path="values", query=words)
    for value in query.values:
        inner = [Q("term", **{"values.side": value.side}), Q("term", **{"values.name": value.name})]
        if value.least is not None or value.most is not None:
            inner.append(Q("range", **{"values.number": bounds("gte", value.least, "lte", value.most)}))
        if value.text is not None:
            inner.append(Q("term", **{"values.text": value.text}))
        yield Q("nested", path="values", query=Q("bool", filter=inner))


def bounds(lower: str, least: Any, upper: str, most: Any) -> dict[str, Any]:
    return {name: bound for name, bound in ((lower, least), (upper, most)) if bound is not None}
