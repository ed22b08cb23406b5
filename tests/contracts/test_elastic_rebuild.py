"""Record indices get another mapping while they are searched, written and erased from."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from monitoring.ids import mint
from monitoring.stores import elastic_rebuild
from monitoring.stores.base import Outcome, Query, StoreUnavailable
from monitoring.stores.elastic import ElasticStore, Layout
from tests.contracts.record_store import NOON, a_record


@pytest.fixture
def store(elasticsearch_client):
    layout = Layout(environment=f"test{mint().hex}")
    yield ElasticStore(elasticsearch_client, layout)
    for index in dict(elasticsearch_client.indices.get(index=f"{layout.pattern},rebuilt-{layout.pattern}")):
        elasticsearch_client.indices.delete(index=index)


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(elastic_rebuild, "COPIED", 20)
    monkeypatch.setattr(elastic_rebuild, "FEW", 5)


def name_of(store) -> str:
    return store.layout.index_on(NOON.date())


def change_mapping(store) -> None:
    """What a later release might do: a field of another kind."""
    template = store.client.indices.get_index_template(name=f"serving-predictions-{store.layout.environment}")
    body = template["index_templates"][0]["index_template"]
    body["template"]["mappings"]["properties"]["request_id"] = {"type": "text"}
    store.client.indices.put_index_template(
        name=f"serving-predictions-{store.layout.environment}",
        index_patterns=body["index_patterns"],
        template=body["template"],
        priority=500,
    )


def mapping(store) -> str:
    found = dict(store.client.indices.get_mapping(index=name_of(store)))
    return next(iter(found.values()))["mappings"]["properties"]["request_id"]["type"]


def some(count: int, **fields):
    return [a_record(moment=NOON + timedelta(seconds=second), **fields) for second in range(count)]


def test_a_mapping_changes_while_records_are_searched_and_written(store):
    first = some(100)
    store.create(first)
    store.refresh()
    change_mapping(store)
    stop, written, faults, seen = threading.Event(), [], [], []

    def write() -> None:
        for record in some(200):
            while store.create([record]) == [Outcome.RETRY]:  # as the recorder does
                stop.wait(0.05)
            written.append(record.id)
            if stop.is_set():
                return

    def search() -> None:
        while not stop.is_set():
            try:
                seen.append(store.count(Query("demo")))
                assert len(store.search(Query("demo", limit=100)).records) == 100
                assert store.get("demo", first[0].id) is not None
            except Exception as error:
                faults.append(error)

    threads = [threading.Thread(target=write), threading.Thread(target=search)]
    for thread in threads:
        thread.start()
    told = []
    moved = elastic_rebuild.rebuild(store.client, name_of(store), told=told.append)
    stop.set()
    for thread in threads:
        thread.join(30)
    store.refresh()
    assert faults == []
    assert seen == sorted(seen)
    assert mapping(store) == "text"
    assert {document["id"] for document in store.stream(Query("demo"))} == {
        *(str(record.id) for record in first),
        *map(str, written),
    }
    assert store.count(Query("demo")) == 100 + len(written)
    assert moved.is_done
    assert [one.copied for one in told] == sorted(one.copied for one in told)


def test_a_rebuilt_index_is_written_rebuilt_again_and_purged(store):
    store.create(some(30))
    elastic_rebuild.rebuild(store.client, name_of(store))
    late, repeated = a_record(), some(1)[0]
    assert store.create([late, repeated, repeated]) == [Outcome.STORED, Outcome.STORED, Outcome.DUPLICATE]
    elastic_rebuild.rebuild(store.client, name_of(store))
    store.refresh()
    assert store.count(Query("demo")) == 32
    assert elastic_rebuild.names(store.client, store.layout) == [name_of(store)]
    assert store.purge(NOON + timedelta(days=2)) == 32
    assert elastic_rebuild.names(store.client, store.layout) == []


def test_what_is_erased_meanwhile_does_not_come_back(store):
    hers = some(30, subject="ab" * 16)
    store.create([*hers, *some(30)])
    erased = []

    def erase_once(moved) -> None:
        if not erased:
            erased.append(store.remove(Query("demo", subject="ab" * 16)))

    elastic_rebuild.rebuild(store.client, name_of(store), told=erase_once)
    store.refresh()
    assert erased == [30]
    assert store.count(Query("demo")) == 30
    assert store.count(Query("demo", subject="ab" * 16)) == 0


def test_a_rebuild_that_fails_leaves_things_as_they_were(store):
    store.create(some(30))
    store.refresh()

    def fail(moved) -> None:
        raise StoreUnavailable("the disk is full")

    with pytest.raises(StoreUnavailable, match="full"):
        elastic_rebuild.rebuild(store.client, name_of(store), told=fail)
    assert store.create([a_record()]) == [Outcome.STORED]
    store.refresh()
    assert store.count(Query("demo")) == 31
    assert elastic_rebuild.discard_unfinished(store.client, store.layout) == []


def test_what_an_interrupted_rebuild_left_is_discarded(store):
    store.create(some(3))
    store.client.indices.create(index=f"rebuilt-{name_of(store)}-1")
    store.client.indices.add_block(index=name_of(store), block="write")
    assert store.create([a_record()]) == [Outcome.RETRY]
    assert elastic_rebuild.discard_unfinished(store.client, store.layout) == [f"rebuilt-{name_of(store)}-1"]
    assert store.create([a_record()]) == [Outcome.STORED]
