"""The log store on Elasticsearch: daily indices named from the line's time, strictly mapped, dropped whole."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from elasticsearch import Elasticsearch, dsl
from elasticsearch.dsl import Q

from monitoring.logs.lines import LEVELS, SCHEMA, LogLine
from monitoring.logs.stores.base import LogPage, LogQuery, Outcome
from monitoring.stores import cluster, cursors
from monitoring.stores.elastic_layout import BodyTooLarge, judged

PREFIX = "serving-logs"
#: Days whose indices a search names one by one; a longer or open search asks all of them.
_NAMED_DAYS = 60
#: Statuses of one bulk item that say "not now".
_LATER = {404, 408, 429, 500, 502, 503, 504}
_KINDS = {
    "time": dsl.Date(),
    "text": dsl.Text(),
    "number": dsl.Long(),
    "name": dsl.Keyword(ignore_above=512),
}
_CONDITIONS = {
    "project": "labels.project",
    "model": "labels.model",
    "service": "service.name",
    "action": "event.action",
    "request_id": "http.request.id",
    "prediction_id": "labels.prediction_id",
    "trace_id": "trace.id",
}
_TEXTS = ["message", "error.message", "error.stack_trace"]


@dataclass(frozen=True, slots=True)
class LogLayout:
    """How indices are laid out; `refresh_s` is the longest a stored line stays unfindable."""

    environment: str = "default"
    shards: int = 1
    replicas: int = 0
    refresh_s: int = 1

    def index_on(self, day: date) -> str:
        return f"{self.name}-{day:%Y.%m.%d}"

    @property
    def name(self) -> str:
        return f"{PREFIX}-{self.environment}"

    @property
    def pattern(self) -> str:
        return f"{self.name}-*"


class ElasticLogs:
    """`LogStore` on one cluster. `client` has short time-outs and no retries of its own: the source retries."""

    def __init__(self, client: Elasticsearch, layout: LogLayout | None = None) -> None:
        self._client = client
        self._layout = layout or LogLayout()
        self._prepared = False

    def prepare(self) -> None:
        """Put the index template; idempotent. Strict: a field that is not in `SCHEMA` is refused, not guessed at."""
        mapping = dsl.Mapping()
        mapping.meta("dynamic", "strict")
        mapping.field("id", dsl.Keyword())
        for name, kind in SCHEMA.items():
            mapping.field(name, _KINDS[kind])
        index = dsl.Index(self._layout.pattern)
        index.mapping(mapping)
        index.settings(
            number_of_shards=self._layout.shards,
            number_of_replicas=self._layout.replicas,
            refresh_interval=f"{self._layout.refresh_s}s",
            codec="best_compression",
        )
        # Not dsl's own template: it copies the index, and `dynamic` gets lost on the way.
        with judged():
            self._client.indices.put_index_template(
                name=self._layout.name,
                index_patterns=[self._layout.pattern],
                priority=500,
                template=index.to_dict(),
            )
        self._prepared = True

    def add(self, lines: Sequence[LogLine]) -> list[Outcome]:
        """One bulk of creates; every item is judged by its own status."""
        if not lines:
            return []
        if not self._prepared:
            self.prepare()
        operations: list[Mapping[str, Any]] = []
        for line in lines:
            operations.append({"create": {"_index": self._layout.index_on(line.at.date()), "_id": str(line.id)}})
            operations.append({"id": str(line.id), **line.fields})
        try:
            with judged():
                answer = self._client.bulk(operations=operations)
        except BodyTooLarge:
            if len(lines) == 1:
                return [Outcome.REJECTED]
            middle = len(lines) // 2
            return self.add(lines[:middle]) + self.add(lines[middle:])
        return [_outcome(item["create"]["status"]) for item in answer["items"]]

    def get(self, identifier: UUID) -> LogLine | None:
        """As of now, not of the last refresh: read by id."""
        line = LogLine(identifier, {})
        docs = [{"_index": self._layout.index_on(line.at.date()), "_id": str(identifier)}]
        with judged():
            (found,) = self._client.mget(docs=docs)["docs"]
        return _line(found["_source"]) if found.get("found") else None

    def search(self, query: LogQuery) -> LogPage:
        search: dsl.Search[Any] = dsl.Search(using=self._client, index=self._indices(query))
        search = search.params(ignore_unavailable=True, allow_no_indices=True)
        search = search.extra(track_total_hits=False, timeout="2s").query("bool", filter=list(_conditions(query)))
        search = search.sort({"id": {"order": "desc", "unmapped_type": "keyword"}})[: query.limit]
        if query.cursor is not None:
            search = search.extra(search_after=[str(cursors.decode(query.cursor))])
        with judged():
            hits = search.execute()["hits"]["hits"]
        found = tuple(_line(hit["_source"].to_dict()) for hit in hits)
        full = len(found) == query.limit and found
        return LogPage(found, cursors.encode(found[-1].id) if full else None)

    def purge(self, before: datetime) -> int:
        """Drop every index whose whole day lies before; returns how many lines went with them."""
        dropped = 0
        with judged():
            rows = self._client.cat.indices(index=self._layout.pattern, h="index,docs.count", format="json")
            for row in rows:
                name = str(row["index"])  # type: ignore[index]
                day = datetime.strptime(name.rsplit("-", 1)[1], "%Y.%m.%d").replace(tzinfo=UTC)
                if day + timedelta(days=1) <= before:
                    dropped += int(self._client.count(index=name)["count"])
                    self._client.indices.delete(index=name)
        return dropped

    def refresh(self) -> None:
        """Make what was stored findable now; for tests and tools that will not wait for the interval."""
        with judged():
            self._client.indices.refresh(index=self._layout.pattern)

    def _indices(self, query: LogQuery) -> list[str] | str:
        if query.since is None:
            return self._layout.pattern
        last = (query.until or datetime.now(UTC) + timedelta(days=1)).date()
        days = (last - query.since.date()).days + 1
        if not 0 < days <= _NAMED_DAYS:
            return self._layout.pattern
        return [self._layout.index_on(query.since.date() + timedelta(days=step)) for step in range(days)]


def _conditions(query: LogQuery) -> Iterator[Any]:
    for name, field in _CONDITIONS.items():
        wanted = getattr(query, name)
        if wanted is not None:
            yield Q("term", **{field: wanted})
    if query.level is not None:
        least = LEVELS[query.level]
        yield Q("terms", **{"log.level": [level for level, number in LEVELS.items() if number >= least]})
    if query.text is not None:
        yield Q("multi_match", query=query.text, fields=_TEXTS, type="cross_fields", operator="and")
    bounds = {name: bound for name, bound in (("gte", query.since), ("lt", query.until)) if bound is not None}
    if bounds:
        yield Q("range", **{"@timestamp": bounds})


def _outcome(status: int) -> Outcome:
    if status in (200, 201):
        return Outcome.STORED
    if status == 409:
        return Outcome.DUPLICATE
    return Outcome.RETRY if status in _LATER else Outcome.REJECTED


def _line(source: Mapping[str, Any]) -> LogLine:
    return LogLine(UUID(source["id"]), {name: value for name, value in source.items() if name != "id"})


_lock = threading.Lock()
_stores: dict[int, ElasticLogs] = {}


def store() -> ElasticLogs:
    """This process's store on the cluster that the settings name; never shared with a parent process."""
    found = _stores.get(os.getpid())
    if found is None:
        with _lock:
            found = _stores.setdefault(os.getpid(), ElasticLogs(cluster.client(), LogLayout(**settings.RECORD_INDEX)))
    return found
