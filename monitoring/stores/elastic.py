"""The record store on Elasticsearch: daily indices named from the id's time, created once by id, searched by field.

Only what the minimal and the full distribution share is used: no painless, no delete-by-query, no ILM; retention
drops whole indices by exact name.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from elasticsearch import BadRequestError, Elasticsearch, dsl

from monitoring import documents
from monitoring.records import Record
from monitoring.stores import cursors, elastic_queries, elastic_rebuild, elastic_timeline
from monitoring.stores.base import Count, Outcome, Page, Query, StoreUnavailable
from monitoring.stores.elastic_layout import PREFIX, BodyTooLarge, Layout, NoShards, RecordDocument, judged
from monitoring.stores.elastic_queries import asked
from monitoring.stores.timeline import Timeline

__all__ = ["ElasticStore", "Layout"]

logger = logging.getLogger(__name__)

MOST_COUNTS = 10_000
#: Records a stream has in memory at once.
STREAMED = 1_000
#: Seconds for one page of a stream.
PATIENCE_S = 30.0
#: Statuses of one bulk item that say "not now": the source keeps the record and tries again.
#: 403 is an index that takes no writes at the moment: it is being moved, or the disk is full.
_LATER = {403, 404, 408, 429, 500, 502, 503, 504}


class ElasticStore:
    """`RecordStore` on one cluster. `client` has short time-outs and no retries of its own: the source retries."""

    at_once = 2

    def __init__(self, client: Elasticsearch, layout: Layout | None = None) -> None:
        self._client = self.client = client
        self._layout = self.layout = layout or Layout()
        self._prepared = False

    def prepare(self) -> None:
        """Put the index template, and fields that are new on the indices there are; idempotent."""
        index = dsl.Index(self._layout.pattern)
        # Not best_compression: nested values lie between the records, so each record read unpacks a block of its own,
        # 48 kB there and 8 kB by default. 1,000 records took 150 ms instead of 12, for a quarter less of disk.
        index.document(RecordDocument)
        index.settings(
            number_of_shards=self._layout.shards,
            number_of_replicas=self._layout.replicas,
            refresh_interval=f"{self._layout.refresh_s}s",
            translog={"durability": "request"},
        )
        template = dsl.ComposableIndexTemplate(
            f"{PREFIX}-{self._layout.environment}", self._layout.pattern, index=index, priority=500
        )
        with judged():
            self._client.indices.put_index_template(name=f"{PREFIX}-{self._layout.environment}", **template.to_dict())
        self._add_fields()
        self._prepared = True

    def _add_fields(self) -> None:
        properties = RecordDocument._doc_type.mapping.to_dict()["properties"]
        try:
            with judged():
                self._client.indices.put_mapping(
                    index=self._layout.pattern, properties=properties, allow_no_indices=True, ignore_unavailable=True
                )
        except StoreUnavailable as error:
            if not isinstance(error.__cause__, BadRequestError):
                raise
            # A field became another: old records are searched as they were until their indices are rebuilt.
            logger.warning("run manage.py rebuild_record_indices: %s", error, extra={"action": "mapping_differs"})

    def create(self, batch: Sequence[Record]) -> list[Outcome]:
        """One bulk of creates. HTTP 200 proves nothing: every item is judged by its own status."""
        if not batch:
            return []
        if not self._prepared:
            self.prepare()
        hashes: list[str] = []
        operations: list[Any] = []
        for record in batch:
            encoded = documents.encode_record(record)
            hashes.append(documents.content_hash(encoded))
            index, identifier = self._layout.index_of(record.id), record.id
            operations.append(b'{"create":{"_index":"%b","_id":"%b"}}' % (index.encode(), str(identifier).encode()))
            operations.append(_hashed(record, encoded, hashes[-1]))
        try:
            with judged():
                # Of each item its status is all that is judged: the rest would be half of what there is to parse.
                answer = self._client.bulk(operations=operations, filter_path="items.create.status")
        except BodyTooLarge:
            return self._create_halves(batch)
        outcomes = [_outcome(item["create"]["status"]) for item in answer["items"]]
        return self._compare_existing(batch, hashes, outcomes)

    def _create_halves(self, batch: Sequence[Record]) -> list[Outcome]:
        if len(batch) == 1:
            return [Outcome.REJECTED]
        middle = len(batch) // 2
        return self.create(batch[:middle]) + self.create(batch[middle:])

    def _compare_existing(
        self, batch: Sequence[Record], hashes: Sequence[str], outcomes: list[Outcome]
    ) -> list[Outcome]:
        """An id that was there is a duplicate when its content is the same, else a conflict."""
        there = [place for place, outcome in enumerate(outcomes) if outcome is Outcome.DUPLICATE]
        if not there:
            return outcomes
        found = self._documents([batch[place].id for place in there], fields=["content_hash"])
        for place in there:
            source = found.get(str(batch[place].id))
            if source is None:
                outcomes[place] = Outcome.RETRY
            elif source["content_hash"] != hashes[place]:
                outcomes[place] = Outcome.CONFLICT
        return outcomes

    def get(self, project: str | None, identifier: UUID) -> Record | None:
        source = self._documents([identifier]).get(str(identifier))
        return _record(source) if source is not None and project in (None, source["project"]) else None

    def search(self, query: Query) -> Page:
        after = cursors.decode(query.cursor) if query.cursor is not None else None
        found: list[Record] = []
        # Newest first: ids grow with time and name the index, so most pages are full after a few minutes of one shard.
        for window in elastic_queries.windows(self._layout, query, after):
            search = elastic_queries.search(self._client, self._layout, query, window.indices).sort("-id")
            if after is not None:
                search = search.extra(search_after=[str(after)])
            hits = self._hits(window.narrowed(search)[: query.limit - len(found)])
            found += [_record(hit["_source"]) for hit in hits if window.holds(UUID(hit["_source"]["id"]))]
            if len(found) >= query.limit:
                return Page(tuple(found), cursors.encode(found[-1].id))
            after = found[-1].id if found else after
        return Page(tuple(found))

    def counts(self, query: Query, *, seconds: int) -> list[Count]:
        search = elastic_queries.search(self._client, self._layout, query)[:0]
        sources: list[Mapping[str, Any]] = [
            {"start": {"date_histogram": {"field": "accepted_at", "fixed_interval": f"{seconds}s"}}},
            *({name: {"terms": {"field": name}}} for name in ("model", "version", "status")),
        ]
        parts = search.aggs.bucket("parts", "composite", sources=sources, size=MOST_COUNTS)
        parts.metric("mean", "avg", field="total_ms").metric("most", "max", field="total_ms")
        answer = asked(search.execute).to_dict()
        # No index yet: no aggregations either.
        buckets = answer.get("aggregations", {}).get("parts", {}).get("buckets", [])
        return [
            Count(
                start=datetime.fromtimestamp(bucket["key"]["start"] / 1000, UTC),
                model=bucket["key"]["model"],
                version=bucket["key"]["version"],
                status=bucket["key"]["status"],
                count=bucket["doc_count"],
                facts={"mean_ms": round(bucket["mean"]["value"], 3), "most_ms": round(bucket["most"]["value"], 3)},
            )
            for bucket in buckets
        ]

    def timeline(self, query: Query, *, start: datetime, end: datetime, buckets: int, outputs: bool = True) -> Timeline:
        search = elastic_queries.search(self._client, self._layout, replace(query, since=start, until=end))
        return elastic_timeline.read(search, start=start, end=end, buckets=buckets, outputs=outputs)

    def present(self, identifiers: Sequence[UUID]) -> set[UUID]:
        found = self._documents(identifiers, fields=["id"])
        return {identifier for identifier in identifiers if str(identifier) in found}

    def count(self, query: Query) -> int:
        search = elastic_queries.search(self._client, self._layout, query)
        return int(asked(search.count))

    def stream(self, query: Query) -> Iterator[dict[str, Any]]:
        # Index after index, for ids grow with time and name it: a page of all of them would sort every shard.
        # By id, not by a point in time: that holds files open, and an index may be rebuilt meanwhile.
        there = elastic_rebuild.names(self._client, self._layout)
        days = elastic_queries.days(self._layout, query)
        for name in there if days is None else [name for name in there if name in days]:
            search = self._patient(query, [name])[:STREAMED]
            found = self._hits(search)
            while found:
                for hit in found:
                    hit["_source"].pop("content_hash", None)
                    yield hit["_source"]
                found = self._hits(search.extra(search_after=found[-1]["sort"])) if len(found) == STREAMED else []

    def remove(self, query: Query) -> int:
        removed = 0
        search = self._patient(query).source(False)[:STREAMED]
        while True:
            self.refresh()
            found = self._hits(search)
            operations = [{"delete": {"_index": hit["_index"], "_id": hit["_id"]}} for hit in found]
            if not operations:
                return removed
            with judged():
                answer = self._client.bulk(operations=operations, refresh=True)
            statuses = [item["delete"]["status"] for item in answer["items"]]
            if any(status not in (200, 404) for status in statuses):
                raise StoreUnavailable(f"the cluster did not delete: {sorted(set(statuses))}")
            removed += statuses.count(200)

    def _patient(self, query: Query, indices: list[str] | None = None) -> dsl.Search[Any]:
        """Oldest first, for who works through everything: nobody waits for one page of it."""
        client = self._client.options(request_timeout=PATIENCE_S)
        return (
            elastic_queries.search(client, self._layout, query, indices).sort("id").extra(timeout=f"{PATIENCE_S:.0f}s")
        )

    def _hits(self, search: dsl.Search[Any]) -> list[dict[str, Any]]:
        answer: Any = asked(lambda: search.execute(ignore_cache=True)).to_dict()
        if answer["timed_out"]:
            raise StoreUnavailable("the cluster did not find everything in time")
        hits: list[dict[str, Any]] = answer["hits"]["hits"]
        return hits

    def purge(self, before: datetime) -> int:
        """Drop every index whose whole day lies before; returns how many records went with them."""
        dropped = 0
        for name in elastic_rebuild.names(self._client, self._layout):
            day = datetime.strptime(name.rsplit("-", 1)[1], "%Y.%m.%d").replace(tzinfo=UTC)
            if day + timedelta(days=1) <= before:
                with judged():
                    # Not the index's own number of documents: that counts each nested value as one.
                    dropped += int(self._client.count(index=name)["count"])
                    self._client.indices.delete(index=elastic_rebuild.behind(self._client, name))
        return dropped

    def ready(self) -> None:
        """Raise `StoreUnavailable` unless the cluster answers and can take writes."""
        with judged():
            status = self._client.cluster.health(timeout="1s")["status"]
        if status == "red":
            raise StoreUnavailable("the cluster is red: some shards are missing")

    def refresh(self) -> None:
        """Make what was stored findable now; for tests and tools that will not wait for the interval."""
        with judged():
            self._client.indices.refresh(index=self._layout.pattern)

    def _documents(self, identifiers: Iterable[UUID], fields: list[str] | None = None) -> dict[str, Any]:
        """The stored documents of these ids, read in real time (not as of the last refresh)."""
        by_index: dict[str, list[str]] = defaultdict(list)
        for identifier in identifiers:
            by_index[self._layout.index_of(identifier)].append(str(identifier))
        docs = [{"_index": index, "_id": id_} for index, all_ids in by_index.items() for id_ in all_ids]
        if not docs:
            return {}
        found = asked(lambda: _there(self._client.mget(docs=docs, source_includes=fields)["docs"]))
        return {doc["_id"]: doc["_source"] for doc in found if doc.get("found")}


def _there(docs: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """The items of an `mget`, whose status is 200 whatever they hold. A day without an index has no documents; any
    other error is none of a document that is not there."""
    for doc in docs:
        error = doc.get("error")
        if error is not None and error["type"] != "index_not_found_exception":
            raise NoShards(f"document {doc['_id']} could not be looked for: {error['type']}")
    return docs


def _outcome(status: int) -> Outcome:
    if status in (200, 201):
        return Outcome.STORED
    if status == 409:
        return Outcome.DUPLICATE
    return Outcome.RETRY if status in _LATER else Outcome.REJECTED


def _record(source: Mapping[str, Any]) -> Record:
    return documents.from_document({name: value for name, value in source.items() if name != "content_hash"})


def _hashed(record: Record, encoded: bytes, content_hash: str) -> Any:
    """The document with its hash: as the bytes that were hashed, unless an escape in them may be a lone surrogate."""
    if rb"\ud" in encoded:
        return _encodable({**documents.to_document(record), "content_hash": content_hash})
    return b'%b,"content_hash":"%b"}' % (encoded[:-1], content_hash.encode())


def _encodable(value: Any) -> Any:
    """The same JSON value with lone surrogates replaced: UTF-8 has no form for them and the cluster would refuse it."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(item) for item in value]
    return value
