"""The cache and the hot results in process and in Redis against the contract, and Redis taken away."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest
from django.core.cache import caches

from monitoring import metrics
from monitoring.ids import mint
from predictions.queued import results
from serving_site import redis_urls as forms
from tests.contracts.cache_and_results import CacheAndResultsContract, a_row
from tests.services import freeze, thaw


def in_redis(cache: str, hot: str) -> dict:
    """CACHES as the site's settings make them."""
    options = {"connections": 10, "ca_file": ""}
    return {
        "default": forms.cache(cache, prefix="serving", **options),
        "results": forms.cache(hot, prefix="serving-results", **options),
    }


class TestInProcess(CacheAndResultsContract):
    pass


class TestTwoRedis(CacheAndResultsContract):
    @pytest.fixture(autouse=True)
    def _open(self, redis_urls, settings):
        settings.CACHES = in_redis(*redis_urls)

    def test_what_lies_in_redis_is_json(self):
        row = a_row()
        results.keep_hot([row])
        raw = caches["results"].client.get_client().get(f"serving-results:1:prediction:{row.id.hex}")
        assert json.loads(json.loads(raw)[1])["id"] == str(row.id)

    def test_results_have_a_server_of_their_own(self):
        key = mint().hex
        caches["results"].set(key, 1, 60)
        assert caches["default"].client.get_client().exists(f"serving-results:1:{key}") == 0
        assert caches["results"].client.get_client().exists(f"serving-results:1:{key}") == 1


class TestOneRedis(CacheAndResultsContract):
    @pytest.fixture(autouse=True)
    def _open(self, redis_urls, settings):
        settings.CACHES = in_redis(redis_urls[0], redis_urls[0])


@pytest.mark.django_db
@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_while_redis_is_away_every_call_is_a_quick_miss_and_then_it_is_used_again(how, private_redis, settings):
    server = private_redis()
    settings.CACHES = in_redis(server.url, server.url)
    cache, row = caches["default"], a_row()
    cache.set("known", 1, 60)
    assert cache.get("known") == 1
    failed, skipped = (metrics.value(metrics.REDIS_FAILURES, (outcome,)) for outcome in ("failed", "skipped"))

    os.kill(server.pid, signal.SIGKILL) if how == "killed" else freeze(server.pid)
    took = []
    for _ in range(20):
        began = time.monotonic()
        assert cache.get("known") is None
        cache.set("known", 2, 60)
        results.keep_hot([row])
        took.append(time.monotonic() - began)
    assert max(took) < 0.75
    # Three failures, then nobody pays but one a second.
    assert sum(took) < 1.5
    assert metrics.value(metrics.REDIS_FAILURES, ("failed",)) >= failed + 3
    assert metrics.value(metrics.REDIS_FAILURES, ("skipped",)) > skipped

    private_redis(server.port) if how == "killed" else thaw(server.pid)
    until = time.monotonic() + 4
    while cache.get("back") != 3:
        assert time.monotonic() < until, "Redis is not used again"
        cache.set("back", 3, 60)
        time.sleep(0.05)
