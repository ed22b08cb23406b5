"""The ledger against its contract, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import pytest
from django.db import connection

from tests.contracts.ledger import LedgerContract


@pytest.mark.django_db(transaction=True)
class TestSQLite(LedgerContract):
    def test_it_is_sqlite(self):
        assert connection.vendor == "sqlite"


@pytest.mark.usefixtures("on_postgres")
@pytest.mark.django_db(transaction=True)
class TestPostgreSQL(LedgerContract):
    def test_it_is_postgresql_and_a_commit_is_on_disk(self):
        with connection.cursor() as cursor:
            for name, wanted in (("synchronous_commit", "on"), ("fsync", "on"), ("full_page_writes", "on")):
                cursor.execute(f"SHOW {name}")
                assert cursor.fetchone() == (wanted,)
            cursor.execute("SHOW statement_timeout")
            assert cursor.fetchone() == ("5s",)
