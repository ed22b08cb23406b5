"""What the cache and the hot results keep to, wherever they lie."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from django.core.cache import caches
from django.utils import timezone

from models_registry import errors
from models_registry.routing import Version
from monitoring.ids import mint
from predictions.models import Prediction
from predictions.queued import answers, results
from predictions.queued.ledger import Claimed
from tests import cast


def a_row(**fields) -> Prediction:
    """A prediction that has succeeded, as its row; it is in no table."""
    now = timezone.now()
    given = {
        "project_id": 7, "project": "demo", "model": "adder", "version": 1, "version_id": mint(), "digest": "0" * 64,
        "route": "alias champion", "pool": "default", "rows": 1, "input": b'{"instances":[[1,2]]}',
        "output": b'{"value":[3.0]}', "status": "succeeded", "accepted_at": now, "started_at": now,
        "completed_at": now, "deadline_at": now + timedelta(hours=1), "next_send_at": now, "inference_ms": 1.5,
    }  # fmt: skip
    return Prediction(**{**given, **fields})


VERSION = Version(
    id=mint(), project_id=7, project="demo", model_id=1, model="adder", number=1, digest="d", runtime="onnx",
    signature=cast.adder().signature, served_digest="d", hard_limit_s=30.0, pool="default", open_limit=1,
    row_cost_s=(0.0, 0.0, 0.0), cache_ttl_s=60.0,
)  # fmt: skip


def row_of(version: Version) -> Claimed:
    now = timezone.now()
    return Claimed(
        id=mint(), fence=mint(), project_id=7, project="demo", model="adder", version=1, version_id=version.id,
        digest="d", pool="default", priority="standard", protocol="replicate", rows=1,
        input=b'{"instances":[[1,2]]}', alone=False, attempts=0, accepted_at=now, deadline_at=now, started_at=now,
    )  # fmt: skip


@pytest.mark.django_db
class CacheAndResultsContract:
    """The caches `default` and `results` as Django's settings name them. No row and no record is there."""

    def is_hot(self, row: Prediction, *, project_id: int = 7, project: str = "demo") -> bool:
        try:
            return results.find(project_id, project, row.id).id == row.id
        except errors.NotFound:
            return False

    @pytest.mark.parametrize("name", ["default", "results"])
    def test_a_value_comes_back_until_it_is_deleted(self, name):
        cache, key = caches[name], mint().hex
        value = {"text": "Äpfel", "numbers": [1, 2.5, None, True], "nested": {"a": []}}
        cache.set(key, value, 60)
        assert cache.get(key) == value
        cache.delete(key)
        assert cache.get(key, "gone") == "gone"

    def test_answers_of_equal_inputs_come_back_until_their_time_is_over(self):
        version = replace(VERSION, id=mint(), digest=mint().hex)
        one = answers.Asked(row_of(version), {"input": np.array([[1.0, 2.0]])})
        [asked] = answers.plan(version, [one]).runs
        answers.keep(version, {asked.key: b'{"value":[3.0],"version":[1]}'})
        [hit] = answers.plan(version, [one]).hits
        assert (hit.id, hit.output, hit.cache) == (one.row.id, b'{"value":[3.0],"version":[1]}', "hit")
        for changed in ({"cache_ttl_s": 1e-9}, {"digest": "e"}, {"project_id": 8}):
            assert not answers.plan(replace(version, id=mint(), **changed), [one]).hits

    def test_a_value_expires(self):
        cache, key = caches["default"], mint().hex
        cache.set(key, 1, 0.3)
        assert cache.get(key) == 1
        time.sleep(0.4)
        assert cache.get(key) is None

    def test_many_values_are_set_and_got_together(self):
        cache = caches["default"]
        values = {mint().hex: number for number in range(50)}
        cache.set_many(values, 60)
        assert cache.get_many([*values, "unknown"]) == values

    def test_of_many_who_add_at_once_one_wins(self):
        key, barrier, won = mint().hex, threading.Barrier(8), []

        def add(number: int) -> None:
            barrier.wait(10)
            won.append((caches["default"].add(key, number, 60), number))

        threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        winners = [number for added, number in won if added]
        assert len(won) == 8
        assert winners == [caches["default"].get(key)]

    def test_counting_at_once_loses_nothing(self):
        key = mint().hex
        caches["default"].set(key, 0, 60)

        def count() -> None:
            for _ in range(50):
                caches["default"].incr(key)

        threads = [threading.Thread(target=count) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert caches["default"].get(key) == 200

    def test_the_two_caches_do_not_share_names(self):
        key = mint().hex
        caches["default"].set(key, "cache", 60)
        caches["results"].set(key, "results", 60)
        assert (caches["default"].get(key), caches["results"].get(key)) == ("cache", "results")

    def test_a_finished_prediction_is_found_as_its_row_shows_it(self):
        row = a_row()
        results.keep_hot([row])
        assert results.find(7, "demo", row.id) == results.sight_of(row)

    def test_a_failed_prediction_is_kept_with_its_error(self):
        row = a_row(status="failed", output=None, error="Spalte „a“ fehlt", started_at=None)
        results.keep_hot([row])
        assert results.find(7, "demo", row.id) == results.sight_of(row)

    def test_hot_results_expire(self, settings):
        settings.SERVING = {**settings.SERVING, "RESULT_TTL": 1}
        row = a_row()
        results.keep_hot([row])
        assert self.is_hot(row)
        time.sleep(1.1)
        assert not self.is_hot(row)

    def test_a_hot_result_is_shown_to_its_own_project_only(self):
        row = a_row()
        results.keep_hot([row])
        assert not self.is_hot(row, project_id=8, project="rival")
        assert self.is_hot(row)

    def test_a_large_answer_stays_in_its_row(self):
        small, large = a_row(output=b'"' + b"x" * 1000 + b'"'), a_row(output=b'"' + b"x" * results.HOT_BYTES + b'"')
        results.keep_hot([small, large])
        assert self.is_hot(small)
        assert not self.is_hot(large)

    @pytest.mark.parametrize("value", ["text", 5, [], [7], [7, None], [7, {"id": "x"}], {"0": 7}])
    def test_what_a_stranger_wrote_is_no_answer(self, value):
        row = a_row()
        caches["results"].set(results.key_of(row.id), value, 60)
        assert not self.is_hot(row)
        assert results._hot(7, row.id, value) is None, "nor what a wake-up brought along"
