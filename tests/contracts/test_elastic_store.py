"""The Elasticsearch record store against the contract, on a real server started for the run."""

from __future__ import annotations

import pytest

from monitoring.ids import mint
from monitoring.stores.elastic import ElasticStore, Layout
from tests.contracts.record_store import RecordStoreContract


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
