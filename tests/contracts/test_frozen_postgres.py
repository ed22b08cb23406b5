"""A PostgreSQL that hangs: every wait ends, a commit under way is called unknown, and all works again after."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.db import OperationalError, connection

from models_registry import errors
from monitoring import patience
from monitoring.background import Ticker, fresh_connection
from predictions.models import Prediction
from predictions.queued import acceptance, submission
from predictions.queued.ledger import Accepted
from tests.integration.queued import rows
from tests.services import freeze, thaw

pytestmark = [pytest.mark.usefixtures("on_postgres"), pytest.mark.django_db(transaction=True)]


class TestFrozen:
    @pytest.fixture(autouse=True)
    def _server(self, postgres_server):
        self.pid = postgres_server.pid

    @contextmanager
    def frozen(self) -> Iterator[None]:
        freeze(self.pid)
        try:
            yield
        finally:
            thaw(self.pid)

    def test_a_statement_ends_with_the_patience_of_its_thread(self):
        connection.ensure_connection()
        with self.frozen():
            began = time.monotonic()
            with patience.at_most(0.5), pytest.raises(OperationalError, match="did not answer within"):
                Prediction.objects.count()
            assert time.monotonic() - began < 1.5
        connection.close()
        assert Prediction.objects.count() == 0

    def test_callers_of_the_committer_leave_at_their_own_time(self):
        committer = submission.committer()
        assert isinstance(committer.submit(rows.draft(), timeout=10), Accepted)
        with self.frozen():
            began = time.monotonic()
            waits = [threading.Thread(target=self._late, args=(committer,)) for _ in range(8)]
            for wait in waits:
                wait.start()
            for wait in waits:
                wait.join(5)
            assert time.monotonic() - began < 2
        outcome = self._retried(committer)
        assert isinstance(outcome, Accepted)

    def _late(self, committer) -> None:
        with pytest.raises(TimeoutError):
            committer.submit(rows.draft(), timeout=1.0)

    def _retried(self, committer) -> object:
        end = time.monotonic() + 15
        while True:
            try:
                return committer.submit(rows.draft(), timeout=5)
            except (TimeoutError, OperationalError, errors.OutcomeUnknown):
                assert time.monotonic() < end
                time.sleep(0.1)

    def test_a_commit_that_was_under_way_is_unknown_and_not_refused(self, monkeypatch):
        begun = threading.Event()
        insert = acceptance._postgresql_insert

        def freeze_then_insert(drafts):
            freeze(self.pid)
            begun.set()
            return insert(drafts)

        monkeypatch.setattr(acceptance, "_postgresql_insert", freeze_then_insert)
        committer = submission.committer()
        try:
            with pytest.raises(errors.OutcomeUnknown, match="may have been accepted"):
                committer.submit(rows.draft(), timeout=10)
        finally:
            thaw(self.pid)
        assert begun.is_set()

    def test_a_connection_that_was_ended_a_moment_after_its_answer_is_not_used_again(self):
        with fresh_connection():
            assert Prediction.objects.count() == 0
        with self.another() as other:
            other.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
        with fresh_connection():
            assert Prediction.objects.count() == 0

    @contextmanager
    def another(self) -> Iterator[psycopg.Connection]:
        """A connection that is not of the pool."""
        params = {**connection.get_connection_params(), "autocommit": True}
        params.pop("pool", None)
        with psycopg.connect(**params) as made:
            yield made

    def test_a_thread_of_our_own_works_again_after_a_restart(self):
        done: list[int] = []
        ticker = Ticker("counter", 0.1, lambda: done.append(Prediction.objects.count()))
        ticker.start()
        try:
            self._until(lambda: len(done) > 2)
            with fresh_connection(), connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
                )
            before = len(done)
            self._until(lambda: len(done) > before + 3)
        finally:
            ticker.stop(5)

    def _until(self, look) -> None:
        end = time.monotonic() + 15
        while not look():
            assert time.monotonic() < end
            time.sleep(0.05)
