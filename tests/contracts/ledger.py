"""The promise's SQL under real concurrency, on every database: accepted once, run by one at a time, ended once."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from models_registry import errors
from monitoring.ids import mint
from predictions.models import Prediction
from predictions.queued import ledger, sweeps
from predictions.queued.ledger import Accepted, Settled
from tests.integration.queued import rows

THREADS = 8


def at_once(work: Callable[[int], Any], threads: int = THREADS) -> list[Any]:
    """Run `work(index)` in so many threads that start together; their answers."""
    barrier = threading.Barrier(threads)
    answers: list[Any] = [None] * threads

    def run(index: int) -> None:
        try:
            barrier.wait(10)
            answers[index] = work(index)
        except BaseException as error:
            answers[index] = error
        finally:
            connection.close()

    running = [threading.Thread(target=run, args=(index,)) for index in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(30)
    failed = [answer for answer in answers if isinstance(answer, BaseException)]
    assert not failed, failed
    return answers


class LedgerContract:
    """Every test of the ledger; the subclass says on which database."""

    def test_each_row_is_claimed_by_exactly_one_worker(self):
        ids = rows.accept(50)
        claimed = at_once(lambda _: [row.id for row in rows.claim(random.sample(ids, len(ids)))])
        assert sorted(identifier for some in claimed for identifier in some) == sorted(ids)

    def test_a_row_is_settled_once_however_many_try(self):
        [identifier] = rows.accept()
        [claimed] = rows.claim([identifier])
        ended = at_once(lambda index: ledger.settle(claimed.fence, [Settled(identifier, output=b"%d" % index)]))
        winners = [index for index, won in enumerate(ended) if won]
        assert len(winners) == 1
        assert bytes(Prediction.objects.get(id=identifier).output) == b"%d" % winners[0]

    def test_one_key_makes_one_prediction_however_many_send_it(self):
        keys = [f"key-{number}" for number in range(20)]

        def send(_: int) -> dict[str, Accepted]:
            drafts = [rows.draft(idempotency_key=key, body_hash=key) for key in random.sample(keys, len(keys))]
            return dict(zip([one.idempotency_key for one in drafts], ledger.accept(drafts), strict=True))

        answers = at_once(send)
        for key in keys:
            assert len({answer[key].id for answer in answers}) == 1
            assert sum(not answer[key].replayed for answer in answers) == 1
        assert Prediction.objects.count() == len(keys)

    def test_a_key_with_another_body_is_refused_and_changes_nothing(self):
        [first] = rows.accept(idempotency_key="key", body_hash="one")
        [other, unrelated] = ledger.accept([rows.draft(idempotency_key="key", body_hash="two"), rows.draft()])
        assert isinstance(other, errors.InvalidInput)
        assert isinstance(unrelated, Accepted)
        assert set(Prediction.objects.values_list("id", flat=True)) == {first, unrelated.id}

    def test_projects_do_not_share_keys(self):
        [one] = rows.accept(idempotency_key="key", body_hash="a", project_id=1)
        [two] = rows.accept(idempotency_key="key", body_hash="b", project_id=2)
        assert one != two

    def test_a_row_the_database_refuses_fails_alone(self):
        good = [rows.draft() for _ in range(6)]
        bad = rows.draft(rows=-1)
        outcomes = ledger.accept([*good[:3], bad, *good[3:]])
        assert isinstance(outcomes[3], errors.InvalidInput)
        assert [one.id for one in outcomes if isinstance(one, Accepted)] == [one.id for one in good]

    def test_a_group_is_answered_in_the_order_it_was_given(self):
        drafts = [rows.draft(idempotency_key=key, body_hash=key) for key in "zax"] + [rows.draft()]
        assert [one.id for one in ledger.accept(drafts)] == [one.id for one in drafts]

    def test_a_late_settle_is_refused_after_the_lease_was_taken_over(self):
        [identifier] = rows.accept()
        [ghost] = rows.claim([identifier])
        rows.expire_lease([identifier])
        [heir] = rows.claim([identifier])
        assert ledger.settle(ghost.fence, [Settled(identifier, output=b"1")]) == {}
        assert ledger.settle(heir.fence, [Settled(identifier, output=b"2")]).keys() == {identifier}
        row = Prediction.objects.get(id=identifier)
        assert (bytes(row.output), row.attempts, row.fence) == (b"2", 1, None)

    def test_a_live_lease_is_not_taken_over(self):
        ids = rows.accept(2)
        assert len(rows.claim(ids)) == 2
        assert rows.claim(ids) == []

    def test_a_renewed_lease_holds_and_an_ended_one_is_not_renewed(self):
        ids = rows.accept(2)
        fence = rows.claim(ids)[0].fence
        ledger.settle(fence, [Settled(ids[0], output=b"1")])
        before = Prediction.objects.get(id=ids[1]).lease_until
        assert ledger.renew(ids, [fence], lease_s=30.0) == 1
        assert Prediction.objects.get(id=ids[1]).lease_until - before > timedelta(seconds=14)
        assert ledger.renew(ids, [mint()], lease_s=30.0) == 0

    def test_nothing_is_claimed_behind_its_deadline(self):
        [identifier] = rows.accept()
        Prediction.objects.filter(id=identifier).update(deadline_at=timezone.now() - timedelta(seconds=1))
        assert rows.claim([identifier]) == []

    def test_the_last_attempt_is_not_taken_over(self):
        [identifier] = rows.accept()
        rows.claim([identifier])
        Prediction.objects.filter(id=identifier).update(attempts=2)
        rows.expire_lease([identifier])
        assert rows.claim([identifier]) == []

    def test_a_row_that_is_to_run_alone_is_not_claimed_with_others(self):
        ids = rows.accept(2)
        fence = rows.claim(ids)[0].fence
        assert ledger.release(fence, ids[:1], alone=True) == ids[:1]
        ledger.release(fence, ids[1:])
        assert [row.id for row in rows.claim(ids)] == ids[1:]
        assert [row.id for row in rows.claim(ids[:1])] == ids[:1]

    def test_cancel_and_settle_race_to_one_end(self):
        for _ in range(10):
            [identifier] = rows.accept()
            [claimed] = rows.claim([identifier])
            verbs = [
                lambda i=identifier: ledger.cancel(1, i),
                lambda i=identifier, c=claimed: bool(ledger.settle(c.fence, [Settled(i, output=b"1")])),
            ]
            canceled, settled = at_once(lambda index, verbs=verbs: verbs[index](), threads=2)
            assert canceled != settled
            assert rows.status(identifier) == ("canceled" if canceled else "succeeded")

    def test_another_project_cannot_cancel(self):
        [identifier] = rows.accept()
        assert not ledger.cancel(2, identifier)
        assert rows.status(identifier) == "starting"

    def test_start_up_returns_what_was_running(self):
        ids = rows.accept(3)
        fence = rows.claim(ids[:2])[0].fence
        ledger.settle(fence, [Settled(ids[0], output=b"1")])
        assert ledger.return_running() == 2
        assert [rows.status(identifier) for identifier in ids] == ["succeeded", "starting", "starting"]
        assert ledger.settle(fence, [Settled(ids[1], output=b"1")]) == {}
        now = timezone.now()
        assert all(row.next_send_at <= now for row in Prediction.objects.filter(status="starting"))

    def test_a_failed_row_keeps_its_reason(self):
        [identifier] = rows.accept()
        fence = rows.claim([identifier])[0].fence
        ledger.settle(fence, [Settled(identifier, error_code="model_error", error="no", inference_ms=1.5)])
        row = Prediction.objects.get(id=identifier)
        assert (row.status, row.error_code, row.error, row.output, row.inference_ms) == (
            "failed",
            "model_error",
            "no",
            None,
            1.5,
        )

    def test_overdue_rows_end_once_however_many_keepers_look(self):
        ids = rows.accept(40)
        rows.claim(ids[:20])
        Prediction.objects.filter(id__in=ids).update(deadline_at=timezone.now() - timedelta(seconds=1))
        found = at_once(lambda _: sweeps.end_overdue(), threads=4)
        assert sorted(identifier for some in found for identifier in some) == sorted(ids)
        assert set(Prediction.objects.values_list("status", flat=True)) == {"aborted"}

    def test_an_expired_lease_is_taken_back_once_however_many_keepers_look(self):
        ids = rows.accept(20)
        fence = rows.claim(ids)[0].fence
        rows.expire_lease(ids)
        found = at_once(lambda _: sweeps.take_back_expired(max_attempts=3), threads=4)
        assert sum(returned for _, returned in found) == 20
        assert set(Prediction.objects.values_list("attempts", flat=True)) == {1}
        assert ledger.settle(fence, [Settled(ids[0], output=b"1")]) == {}

    def test_a_due_row_is_nudged_by_one_keeper(self):
        ids = rows.accept(20)
        Prediction.objects.filter(id__in=ids).update(next_send_at=timezone.now() - timedelta(seconds=1))
        found = at_once(lambda _: sweeps.move_due(), threads=4)
        assert sorted(row.id for some in found for row in some) == sorted(ids)
        assert set(Prediction.objects.values_list("sends", flat=True)) == {1}

    def test_keys_in_random_order_do_not_deadlock_groups(self):
        keys = [f"key-{number}" for number in range(100)]

        def send(_: int) -> int:
            accepted = 0
            for _ in range(3):
                drafts = [rows.draft(idempotency_key=key, body_hash=key) for key in random.sample(keys, len(keys))]
                accepted += sum(isinstance(one, Accepted) for one in ledger.accept(drafts))
            return accepted

        assert at_once(send) == [300] * THREADS
        assert Prediction.objects.count() == 100
