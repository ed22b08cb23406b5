"""The database record store against the contract, and what only a database can show."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from monitoring.models import RecordRow, RecordValue
from monitoring.stores import database, open_store
from monitoring.stores.base import Outcome, Query, Range
from monitoring.stores.database import DatabaseStore
from tests.contracts.record_store import NOON, RecordStoreContract, a_record


@pytest.mark.django_db
class TestDatabaseStore(RecordStoreContract):
    @pytest.fixture(autouse=True)
    def _open(self):
        self.store = open_store()

    def test_a_purge_leaves_no_values_behind(self):
        self.keep(a_record(moment=NOON - timedelta(days=2)))
        self.store.purge(NOON)
        assert RecordValue.objects.count() == RecordRow.objects.count() == 0

    def test_a_repeat_adds_no_values(self):
        record = a_record()
        self.keep(record)
        self.store.create([record])
        assert RecordValue.objects.count() == len(record.values)

    def test_a_record_no_database_can_take_is_rejected_alone(self):
        good, bad = a_record(), a_record(version=2**70)
        outcomes = self.store.create([good, bad, a_record()])
        assert outcomes == [Outcome.STORED, Outcome.REJECTED, Outcome.STORED]

    def test_a_search_looks_through_a_bounded_number_of_rows_and_goes_on_by_cursor(self, monkeypatch):
        monkeypatch.setattr(database, "MOST_SCANNED", 10)
        rare = a_record(moment=NOON, request_id="rare")
        self.keep(rare, *(a_record(moment=NOON + timedelta(seconds=second)) for second in range(1, 36)))
        cursor, pages = None, 0
        while True:
            page = self.store.search(Query(project="demo", request_id="rare", cursor=cursor))
            pages, cursor = pages + 1, page.cursor
            if page.records or cursor is None:
                break
        assert [record.id for record in page.records] == [rare.id]
        assert pages == 4

    def test_a_search_never_counts_the_table(self):
        self.keep(a_record())
        with CaptureQueriesContext(
            connection,
        ) as queries:
            self.store.search(Query(project="demo", values=(Range("input", "sepal_length", 5.0, 6.0),)))
        assert len(queries) == 2
        assert not any("COUNT(" in query["sql"] for query in queries)


@pytest.mark.django_db(transaction=True)
def test_eight_writers_of_the_same_records_store_each_once():
    records = [a_record() for _ in range(50)]
    outcomes: list[list[Outcome]] = []
    barrier = threading.Barrier(8)

    def write() -> None:
        barrier.wait()
        outcomes.append(DatabaseStore().create(records))
        connection.close()

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(outcomes) == 8
    for index in range(50):
        assert sorted(batch[index].value for batch in outcomes) == ["duplicate"] * 7 + ["stored"]
    assert RecordRow.objects.count() == 50
