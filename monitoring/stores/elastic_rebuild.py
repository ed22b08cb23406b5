"""Rebuild record indices under a changed mapping while they are searched and written.

A day's index keeps its name for everybody: the first time it becomes an alias of that name in front of an index
`rebuilt-…`, which no search's pattern meets. Documents are copied by sequence number in passes; the last one runs
while the old index takes no writes (the recorder keeps its records and tries again), then one atomic change of
aliases deletes the old index and names the new one. `_reindex` is not in every distribution, so the client copies.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from elasticsearch import Elasticsearch

from monitoring.stores.base import StoreUnavailable
from monitoring.stores.elastic_layout import PREFIX, BodyTooLarge, Layout, judged

#: Documents copied at once, and the most that may be missing when writes are stopped for the last pass.
COPIED = 1_000
FEW = 2_000
#: Passes after which the rest is copied behind the block whatever its number.
MOST_PASSES = 20


@dataclass(frozen=True, slots=True)
class Moved:
    """How far one index is: documents copied of about `total`; `into` is the index that is being filled."""

    name: str
    into: str
    copied: int
    total: int
    is_done: bool = False


def names(client: Elasticsearch, layout: Layout) -> list[str]:
    """The days that have an index, by the names that writers and searches use, oldest first."""
    with judged():
        concrete = client.indices.get(index=layout.pattern, expand_wildcards="open", features="aliases")
    found = set()
    for index, facts in dict(concrete).items():
        aliases = [alias for alias in facts["aliases"] if alias.startswith(f"{PREFIX}-{layout.environment}-")]
        found.update(aliases or [index])
    return sorted(found)


def rebuild(client: Elasticsearch, name: str, *, told: Callable[[Moved], None] = lambda moved: None) -> Moved:
    """Copy what `name` holds into a new index with the template's mapping of now, and let it take the name.

    Raises `StoreUnavailable`; what it was copying into is then deleted, and the old index takes writes again.
    """
    old = behind(client, name)
    new = f"rebuilt-{name}-{time.time_ns()}"
    copy = _Copy(client, old, new, name, told)
    try:
        copy.create()
        copy.catch_up()
        return copy.finish()
    except BaseException:
        copy.undo()
        raise


def behind(client: Elasticsearch, name: str) -> str:
    """The concrete index behind a name."""
    with judged():
        found = dict(client.indices.get(index=name, features="aliases"))
    if len(found) != 1:
        raise StoreUnavailable(f"{name} stands for {len(found)} indices")
    return str(next(iter(found)))


class _Copy:
    def __init__(self, client: Elasticsearch, old: str, new: str, name: str, told: Callable[[Moved], None]) -> None:
        self._client, self._old, self._new, self._name, self._told = client, old, new, name, told
        self._copied = 0
        #: Of each shard: everything up to this sequence number is copied.
        self._done: dict[str, int] = {}

    def create(self) -> None:
        """An empty index with the mapping and settings that the template gives this day now."""
        with judged():
            made = self._client.indices.simulate_index_template(name=self._name)["template"]
            settings = {**made.get("settings", {}).get("index", {}), "refresh_interval": "-1"}
            self._client.indices.create(index=self._new, mappings=made["mappings"], settings={"index": settings})

    def catch_up(self) -> None:
        """Passes over what was written since the one before, until little is left."""
        for _ in range(MOST_PASSES):
            before = self._copied
            self._pass()
            if self._copied - before <= FEW:
                return

    def finish(self) -> Moved:
        """The last pass while the old index takes no writes, then the change of names, all at once."""
        with judged():
            self._client.indices.add_block(index=self._old, block="write")
        self._pass()
        self._drop_deleted()
        with judged():
            self._client.indices.put_settings(
                index=self._new, settings={"index": {"refresh_interval": self._refresh_interval()}}
            )
            self._client.indices.refresh(index=self._new)
            self._client.indices.update_aliases(
                actions=[
                    {"remove_index": {"index": self._old}},
                    {"add": {"index": self._new, "alias": self._name, "is_write_index": True}},
                ]
            )
        moved = self._moved(is_done=True)
        self._told(moved)
        return moved

    def undo(self) -> None:
        """Leave things as they were, as far as the cluster answers."""
        try:
            if behind(self._client, self._name) != self._old:
                return  # the names were changed: it is done
            self._client.indices.put_settings(index=self._old, settings={"index.blocks.write": None})
            self._client.indices.delete(index=self._new, ignore_unavailable=True)
        except Exception:  # noqa: S110 - the first error is the one to tell; the next rebuild cleans up
            pass

    def _pass(self) -> None:
        """Copy every document up to what each shard has finished by now."""
        with judged():
            stats: Any = self._client.indices.stats(index=self._old, level="shards")
            shards = stats["indices"][self._old]["shards"]
            ends = {
                number: copy["seq_no"]["local_checkpoint"]
                for number, copies in shards.items()
                for copy in copies
                if copy["routing"]["primary"]
            }
            self._client.indices.refresh(index=self._old)  # after the checkpoint: all up to it can be found
        for number, end in ends.items():
            for hits in self._read(number, self._done.get(number, -1), end):
                self._write(hits)
            self._done[number] = end

    def _read(self, shard: str, after: int, end: int) -> Iterator[list[dict[str, Any]]]:
        while after < end:
            with judged():
                answer: Any = self._client.search(
                    index=self._old,
                    preference=f"_shards:{shard}",
                    size=COPIED,
                    query={"range": {"_seq_no": {"gt": after, "lte": end}}},
                    sort=[{"_seq_no": "asc"}],
                    track_total_hits=False,
                )
            hits = answer["hits"]["hits"]
            if not hits:
                return
            yield hits
            after = hits[-1]["sort"][0]

    def _write(self, hits: list[dict[str, Any]]) -> None:
        operations: list[Mapping[str, Any]] = []
        for hit in hits:
            operations += [{"index": {"_index": self._new, "_id": hit["_id"]}}, hit["_source"]]
        try:
            with judged():
                answer = self._client.bulk(operations=operations)
        except BodyTooLarge:
            if len(hits) == 1:
                raise StoreUnavailable(f"document {hits[0]['_id']} is too large to be copied") from None
            self._write(hits[: len(hits) // 2])
            self._write(hits[len(hits) // 2 :])
            return
        refused = [item["index"] for item in answer["items"] if item["index"]["status"] not in (200, 201)]
        if refused:
            raise StoreUnavailable(f"document {refused[0]['_id']} was not copied: {refused[0].get('error')}")
        self._copied += len(hits)
        self._told(self._moved())

    def _drop_deleted(self) -> None:
        """Documents that were deleted after they were copied; only looked for when the numbers differ."""
        with judged():
            self._client.indices.refresh(index=f"{self._old},{self._new}")
        if self._count(self._new) == self._count(self._old):
            return
        kept = set(self._ids(self._old))
        gone = [identifier for identifier in self._ids(self._new) if identifier not in kept]
        for first in range(0, len(gone), COPIED):
            chunk = gone[first : first + COPIED]
            with judged():
                self._client.bulk(operations=[{"delete": {"_index": self._new, "_id": one}} for one in chunk])
        self._copied -= len(gone)
        if len(kept) != self._copied_now():
            raise StoreUnavailable(f"{self._new} has not what {self._old} has")

    def _copied_now(self) -> int:
        with judged():
            self._client.indices.refresh(index=self._new)
        return self._count(self._new)

    def _ids(self, index: str) -> Iterator[str]:
        after: list[Any] | None = None
        while True:
            with judged():
                answer: Any = self._client.search(
                    index=index, size=10_000, sort=[{"id": "asc"}], source=False, search_after=after
                )
            hits = answer["hits"]["hits"]
            yield from (hit["_id"] for hit in hits)
            if len(hits) < 10_000:
                return
            after = hits[-1]["sort"]

    def _count(self, index: str) -> int:
        with judged():
            return int(self._client.count(index=index)["count"])

    def _refresh_interval(self) -> str:
        settings: Any = self._client.indices.simulate_index_template(name=self._name)["template"]["settings"]
        return str(settings["index"].get("refresh_interval", "1s"))

    def _moved(self, *, is_done: bool = False) -> Moved:
        total = self._copied if is_done else max(self._copied, self._count(self._old))
        return Moved(self._name, self._new, self._copied, total, is_done)


def discard_unfinished(client: Elasticsearch, layout: Layout) -> list[str]:
    """Delete what interrupted rebuilds were filling, and lift their blocks; run it while no rebuild runs."""
    with judged():
        found = dict(client.indices.get(index=f"rebuilt-{layout.pattern}", features="aliases"))
        unfinished = [index for index, facts in found.items() if not facts["aliases"]]
        for index in unfinished:
            client.indices.delete(index=index)
        if unfinished:
            client.indices.put_settings(
                index=layout.pattern, settings={"index.blocks.write": None}, allow_no_indices=True
            )
    return unfinished
