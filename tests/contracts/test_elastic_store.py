"""The Elasticsearch record store against the contract, on a real server started for the run."""

from __future__ import annotations

import pytest

from monitoring.ids import mint
from monitoring.stores.base import Query, StoreUnavailable
from monitoring.stores.elastic import ElasticStore, Layout
from tests.contracts.record_store import RecordStoreContract, a_record


class TestElasticStore(RecordStoreContract):
    @pytest.fixture(autouse=True)
    def _open(self, elasticsearch_client):
        # An environment of its own for every test: no index is shared, none has to be emptied.
        self.layout = Layout(environment=f"test{mint().hex}")
        self.store = ElasticStore(elasticsearch_client, self.layout)
        yield
        indices = elasticsearch_client.cat.indices(index=self.layout.pattern, h="index", format="json")
        for row in indices:
            elasticsearch_client.indices.delete(index=row["index"])

    def settle(self) -> None:
        self.store.refresh()

    def test_a_record_whose_shard_is_missing_is_not_told_as_one_that_never_was(self, elasticsearch_client):
        record = a_record()
        self.store.prepare()
        nowhere = {"index.routing.allocation.require._name": "no-such-node"}
        day = self.layout.index_of(record.id)
        elasticsearch_client.indices.create(index=day, settings=nowhere, wait_for_active_shards="0")
        for ask in (
            lambda: self.store.get("demo", record.id),
            lambda: self.store.present([record.id]),
            lambda: self.store.search(Query("demo")),
            lambda: self.store.count(Query("demo")),
        ):
            with pytest.raises(StoreUnavailable):
                ask()
