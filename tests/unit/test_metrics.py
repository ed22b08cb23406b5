"""Metrics: declared once, cheap to add to, bounded whatever the callers do."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from monitoring import metrics
from tests import metrics_table

VERSION = ("metrics", "iris", "1")


@pytest.fixture(autouse=True)
def _clean():
    yield
    metrics.forget(VERSION)
    metrics._gauges.pop(metrics.OPEN_PREDICTIONS.name, None)


def scraped() -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(generate_latest(REGISTRY).decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def labelled(name: str, **labels: str) -> float:
    return scraped()[name, tuple(sorted({"project": "metrics", "model": "iris", "version": "1", **labels}.items()))]


def test_a_prediction_is_counted_and_timed():
    for seconds in (0.0004, 0.003, 20.0):
        metrics.observe_prediction(VERSION, protocol="oip", status="succeeded", total_s=seconds, inference_s=0.0002)
    metrics.observe_prediction(VERSION, protocol="oip", status="failed", total_s=0.003, error_code="model_error")
    assert labelled("serving_predictions_total", protocol="oip", status="succeeded") == 3
    assert labelled("serving_predictions_total", protocol="oip", status="failed") == 1
    assert labelled("serving_errors_total", code="model_error") == 1
    assert labelled("serving_prediction_seconds_bucket", protocol="oip", le="0.0005") == 1
    assert labelled("serving_prediction_seconds_bucket", protocol="oip", le="0.005") == 3
    assert labelled("serving_prediction_seconds_bucket", protocol="oip", le="+Inf") == 4
    assert labelled("serving_prediction_seconds_count", protocol="oip") == 4
    assert labelled("serving_prediction_seconds_sum", protocol="oip") == pytest.approx(20.0064)
    assert labelled("serving_inference_seconds_count", protocol="oip") == 3


def test_a_value_on_a_bound_belongs_to_its_bucket():
    metrics.observe(metrics.BATCH_ROWS, VERSION, 8)
    assert labelled("serving_batch_rows_bucket", le="8.0") == 1
    assert labelled("serving_batch_rows_bucket", le="4.0") == 0


def test_every_declared_metric_is_exported_under_its_name_and_no_other_of_ours():
    page = generate_latest(REGISTRY).decode()
    exported = {line.split()[2] for line in page.splitlines() if line.startswith("# TYPE serving_")}
    ours = {name for name in exported if not name.startswith("serving_django_")}
    assert {item.name for item in metrics.DECLARED} == ours
    assert all(item.help.endswith(".") or ";" in item.help for item in metrics.DECLARED)


def test_readme_lists_every_metric_and_no_other():
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    listed = [line for line in readme.splitlines() if line.startswith("| `serving_")]
    assert listed == metrics_table.lines()


def test_labels_are_bounded_whatever_is_thrown_at_them():
    try:
        for number in range(metrics.MOST_CHILDREN + 500):
            metrics.count(metrics.REFUSALS, ("oip", f"made-up-{number}"))
        children = metrics._counters[metrics.REFUSALS.name]
        assert len(children) <= metrics.MOST_CHILDREN + 1
        assert children["other", "other"] >= 500
    finally:
        metrics._counters[metrics.REFUSALS.name].clear()


def test_wrong_labels_are_refused():
    with pytest.raises(ValueError, match="takes the labels"):
        metrics.count(metrics.REFUSALS, ("oip",))


def test_a_retired_version_leaves_no_child_behind():
    metrics.observe_prediction(VERSION, protocol="oip", status="succeeded", total_s=0.1, error_code="x")
    metrics.observe_prediction(("metrics", "iris", "2"), protocol="oip", status="succeeded", total_s=0.1)
    metrics.forget(VERSION)
    left = [labels for _, labels in scraped() if ("project", "metrics") in labels]
    assert left
    assert all(("version", "2") in labels for labels in left)
    metrics.forget(("metrics", "iris", "2"))


def test_a_gauge_is_read_when_somebody_scrapes_and_never_breaks_the_page():
    metrics.provide(metrics.OPEN_PREDICTIONS, lambda: {("demo", "iris"): 7})
    assert scraped()["serving_open_predictions", (("model", "iris"), ("project", "demo"))] == 7
    metrics.provide(metrics.OPEN_PREDICTIONS, lambda: {}[("no",)])
    assert not any(name == "serving_open_predictions" for name, _ in scraped())


def test_no_count_is_lost_between_threads():
    def add() -> None:
        for _ in range(5000):
            metrics.observe_prediction(VERSION, protocol="oip", status="succeeded", total_s=0.1)

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert metrics.value(metrics.PREDICTIONS, (*VERSION, "oip", "succeeded")) == 40_000
    assert metrics.value(metrics.QUEUE_SECONDS, (*VERSION, "oip")) == 40_000


def test_counting_a_prediction_costs_microseconds():
    started = time.perf_counter()
    for _ in range(10_000):
        metrics.observe_prediction(VERSION, protocol="oip", status="succeeded", total_s=0.1, inference_s=0.1)
    assert (time.perf_counter() - started) / 10_000 < 30e-6


def test_counters_without_labels_or_with_known_values_are_shown_before_the_first_count():
    assert metrics._first(metrics.RETRIES) == {(): 0}
    assert metrics._first(metrics.REFUSALS) == {}
    lost = metrics._first(metrics.RECORDS)
    assert lost[("lost",)] == 0
    counters = [item for item in metrics.DECLARED if item.kind == "counter"]
    assert {item.name for item in counters if not item.labels or item.values} <= {name for name, _ in scraped()}
    assert metrics.DEAD_LETTERS.values == ("delivery_limit", "rejected", "expired", "maxlen", "unrouted")
    assert all(
        ("serving_dead_letters_total", (("reason", reason),)) in scraped() for reason in metrics.DEAD_LETTERS.values
    )
