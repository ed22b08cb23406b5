"""Who may read the metrics, and what the probes say of the real parts."""

from __future__ import annotations

import contextlib
import time

import pytest
from django.test import Client

from monitoring import health, metrics, parts, spooling
from monitoring.health import Part, State
from monitoring.spool import SpoolFull


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_loopback_reads_metrics_without_a_key(db, address):
    answer = Client(REMOTE_ADDR=address).get("/metrics", headers={"accept": "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"})
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain")
    page = answer.content.decode()
    assert "serving_predictions_total" in page
    assert "serving_spool_bytes " in page
    assert "django_http_requests" in page


@pytest.mark.parametrize("address", ["10.0.0.7", "::ffff:10.0.0.7", "2001:db8::1", "", "nonsense"])
def test_others_are_refused(db, address):
    assert Client(REMOTE_ADDR=address).get("/metrics").status_code == 403


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded", "x-real-ip"])
def test_what_a_proxy_forwards_is_not_loopback(db, header):
    assert Client(REMOTE_ADDR="127.0.0.1").get("/metrics", headers={header: "127.0.0.1"}).status_code == 403


def test_configured_networks_read_too(db, settings):
    settings.SERVING = {**settings.SERVING, "METRICS_NETWORKS": ["10.0.0.0/24"]}
    assert Client(REMOTE_ADDR="10.0.0.9").get("/metrics").status_code == 200
    assert Client(REMOTE_ADDR="127.0.0.1").get("/metrics").status_code == 403


def test_a_key_with_the_scope_reads_from_anywhere(watched):
    allowed, other = watched.key("metrics"), watched.key("read", "predict", "manage")
    assert allowed.get("/metrics", REMOTE_ADDR="10.0.0.7").status_code == 200
    assert other.get("/metrics", REMOTE_ADDR="10.0.0.7").status_code == 403


def test_live_asks_nothing(django_assert_num_queries):
    answer = Client().get("/health/live")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.fixture
def part():
    names: list[str] = []

    def register(name: str, check, **options) -> None:
        names.append(name)
        health.register(name, check, **options)

    yield register
    for name in names:
        health.unregister(name)


@pytest.mark.django_db(transaction=True)
def test_ready_names_every_part(monkeypatch, settings, tmp_path):
    settings.SPOOL_DIR = tmp_path  # calls that other tests left waiting are not meant either
    monkeypatch.setattr(parts, "beats", dict)  # threads of other tests, stopped or busy, are not meant
    monkeypatch.setattr(health, "_parts", {name: part for name, part in health._parts.items() if name in OWN})
    answer = Client().get("/health/ready")
    report = answer.json()
    assert set(report["parts"]) == OWN
    assert {part["state"] for part in report["parts"].values()} == {"ok"}, report
    assert (answer.status_code, report["status"]) == (200, "ok")


OWN = {"migrations", "database", "cache", "record store", "spool", "threads"}


@pytest.mark.django_db(transaction=True)
def test_a_frozen_part_neither_blocks_the_probe_nor_the_process(part):
    part("frozen", lambda: time.sleep(3) or Part(State.OK))
    started = time.monotonic()
    answer = Client().get("/health/ready")
    assert time.monotonic() - started < 1.5
    assert answer.json()["parts"]["frozen"]["state"] == "down"


@pytest.mark.django_db(transaction=True)
def test_before_its_gate_the_process_is_not_ready(part):
    part("first snapshot", lambda: Part(State.DOWN, "not yet"), is_gate=True)
    answer = Client().get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["parts"]["first snapshot"]["detail"] == "not yet"


@pytest.fixture
def full_spool(settings, tmp_path):
    settings.SPOOL_DIR = tmp_path
    settings.SERVING = {**settings.SERVING, "SPOOL_LIMIT": 16 * 1024}
    spooling.close()
    for _ in range(4 * 4):
        with contextlib.suppress(SpoolFull):
            spooling.append(bytes(1500))
    yield
    spooling.close()


def test_a_full_spool_refuses_and_counts(full_spool):
    before = metrics.value(metrics.SPOOL_REFUSALS)
    with pytest.raises(SpoolFull):
        spooling.append(bytes(1500))
    assert metrics.value(metrics.SPOOL_REFUSALS) == before + 1


def test_a_setting_prefers_answers_to_records_and_counts_what_is_lost(full_spool, settings):
    settings.SERVING = {**settings.SERVING, "ANSWER_WITHOUT_RECORD": True}
    before = metrics.value(metrics.RECORDS, ("lost",))
    spooling.append(bytes(1500))
    assert metrics.value(metrics.RECORDS, ("lost",)) == before + 1


@pytest.mark.django_db(transaction=True)
def test_a_spool_near_its_cap_is_down_and_says_so(settings, tmp_path):
    settings.SPOOL_DIR = tmp_path
    settings.SERVING = {**settings.SERVING, "SPOOL_LIMIT": 64 * 1024}
    spooling.close()
    try:
        for _ in range(3):
            spooling.opened()._rotate()
        report = Client().get("/health/ready").json()
        assert report["parts"]["spool"]["state"] == "down"
        assert "refused" in report["parts"]["spool"]["detail"]
    finally:
        spooling.close()
