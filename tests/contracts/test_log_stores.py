"""Both log stores against the contract, and what only a database can show."""

from __future__ import annotations

from datetime import timedelta

import pytest
from elasticsearch import BadRequestError

from monitoring.ids import mint
from monitoring.logs.stores import database, open_log_store
from monitoring.logs.stores.base import LogQuery
from monitoring.logs.stores.elastic import ElasticLogs, LogLayout
from monitoring.models import LogRow
from tests.contracts.log_store import NOON, LogStoreContract, a_line


@pytest.mark.django_db
class TestDatabaseLogs(LogStoreContract):
    @pytest.fixture(autouse=True)
    def _open(self):
        self.store = open_log_store()

    def test_the_oldest_go_when_there_are_too_many(self, monkeypatch):
        monkeypatch.setattr(database, "MOST_KEPT", 10)
        lines = [a_line(moment=NOON + timedelta(seconds=second)) for second in range(35)]
        for start in range(0, 35, 5):
            self.store.add(lines[start : start + 5])
        self.store.add([a_line(moment=NOON + timedelta(hours=1)) for _ in range(10)])
        assert LogRow.objects.count() == 10
        assert {line.at for line in self.store.search(LogQuery()).lines} == {NOON + timedelta(hours=1)}

    def test_a_search_looks_through_a_bounded_number_of_rows_and_goes_on_by_cursor(self, monkeypatch):
        monkeypatch.setattr(database, "MOST_SCANNED", 10)
        rare = a_line("a needle")
        self.keep(rare, *(a_line(moment=NOON + timedelta(seconds=second)) for second in range(1, 36)))
        cursor, pages = None, 0
        while True:
            page = self.store.search(LogQuery(text="needle", cursor=cursor))
            pages, cursor = pages + 1, page.cursor
            if page.lines or cursor is None:
                break
        assert [line.id for line in page.lines] == [rare.id]
        assert pages == 4


class TestElasticLogs(LogStoreContract):
    @pytest.fixture(autouse=True)
    def _open(self, elasticsearch_client):
        # An environment of its own for every test: no index is shared, none has to be emptied.
        self.layout = LogLayout(environment=f"test{mint().hex}")
        self.store = ElasticLogs(elasticsearch_client, self.layout)
        yield
        for row in elasticsearch_client.cat.indices(index=self.layout.pattern, h="index", format="json"):
            elasticsearch_client.indices.delete(index=row["index"])

    def settle(self) -> None:
        self.store.refresh()

    def test_a_field_nobody_declared_is_refused(self, elasticsearch_client):
        self.keep(a_line())
        with pytest.raises(BadRequestError, match="strict_dynamic_mapping_exception"):
            elasticsearch_client.index(index=self.layout.index_on(NOON.date()), document={"inputs": [1]})
