"""Every query of every dashboard, asked of a real Prometheus and a real Elasticsearch: no error, no empty answer."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from monitoring import metrics
from monitoring.ids import mint
from monitoring.records import Value
from monitoring.stores.base import Outcome
from monitoring.stores.elastic import ElasticStore, Layout
from serving_site.stack import install
from serving_site.stack import prometheus as stack_prometheus
from tests import dashboards
from tests.contracts.record_store import a_record

#: Backfilled blocks must lie behind what a running Prometheus keeps in memory.
MOMENT = int(time.time()) - 6 * 3600
LABELS = {
    "project": "demo",
    "model": "iris",
    "version": "1",
    "protocol": "oip",
    "status": "succeeded",
    "code": "model_error",
    "reason": "expired",
    "outcome": "rejected",
}
OTHERS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("up", "gauge", {}),
    ("process_resident_memory_bytes", "gauge", {}),
    ("process_cpu_seconds_total", "counter", {}),
    ("rabbitmq_queue_messages_ready", "gauge", {}),
    ("rabbitmq_queue_messages_unacked", "gauge", {}),
    ("rabbitmq_process_resident_memory_bytes", "gauge", {}),
    ("rabbitmq_resident_memory_limit_bytes", "gauge", {}),
    ("rabbitmq_connections", "gauge", {}),
    ("redis_connected_clients", "gauge", {}),
    ("redis_memory_used_bytes", "gauge", {}),
    ("redis_memory_max_bytes", "gauge", {}),
    ("redis_evicted_keys_total", "counter", {}),
    ("pg_stat_activity_count", "gauge", {}),
    ("pg_stat_database_xact_commit", "gauge", {}),
    ("pg_stat_database_xact_rollback", "gauge", {}),
    ("pg_stat_user_tables_n_dead_tup", "gauge", {"relname": "rows"}),
    ("elasticsearch_jvm_memory_used_bytes", "gauge", {"area": "heap"}),
    ("elasticsearch_jvm_memory_max_bytes", "gauge", {"area": "heap"}),
    ("elasticsearch_filesystem_data_available_bytes", "gauge", {}),
    ("elasticsearch_filesystem_data_size_bytes", "gauge", {}),
    ("elasticsearch_cluster_health_unassigned_shards", "gauge", {}),
    ("elasticsearch_cluster_health_initializing_shards", "gauge", {}),
    ("elasticsearch_cluster_health_number_of_pending_tasks", "gauge", {}),
    ("node_filesystem_avail_bytes", "gauge", {"fstype": "ext4"}),
    ("node_filesystem_size_bytes", "gauge", {"fstype": "ext4"}),
    ("node_memory_MemAvailable_bytes", "gauge", {}),
    ("node_memory_MemTotal_bytes", "gauge", {}),
    ("node_cpu_seconds_total", "counter", {"mode": "idle"}),
    ("serving_django_http_responses_total_by_status_total", "counter", {"status": "500"}),
    ("serving_django_http_exceptions_total_by_type_total", "counter", {"type": "ValueError"}),
    ("serving_django_http_requests_latency_seconds_by_view_method", "histogram", {"view": "home", "method": "GET"}),
)


def series(
    moment: int = MOMENT, days: Sequence[int] = (7, 1, 0), *, before: int = 600, after: int = 60
) -> Iterator[str]:
    """Minutes of every metric in OpenMetrics, these days ago: from `before` to `after`, seconds, around the moment."""
    declared = [
        (item.name, item.kind, {name: LABELS.get(name, "any") for name in item.labels}) for item in metrics.DECLARED
    ]
    moments = [moment - ago * 86_400 + step for ago in days for step in range(-before, after + 1, 15)]
    for name, kind, labels in (*OTHERS, *declared):
        yield f"# TYPE {name.removesuffix('_total')} {kind}"
        given = {**labels, "job": "web", "instance": "a"}
        for count, at in enumerate(moments):
            for suffix, value, more in _samples(kind, count):
                text = ",".join(f'{label}="{content}"' for label, content in {**given, **more}.items())
                yield f"{name}{suffix}{{{text}}} {value} {at}"
    yield "# EOF"


def _samples(kind: str, count: int) -> list[tuple[str, float, dict[str, str]]]:
    if kind != "histogram":
        return [("", count if kind == "counter" else 1, {})]
    buckets = [("_bucket", count, {"le": bound}) for bound in ("0.1", "1.0", "+Inf")]
    return [*buckets, ("_sum", count * 0.05, {}), ("_count", count, {})]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], list[Any]]]:
    """Ask a Prometheus that knows nine days of every metric."""
    install.ensure("Prometheus")
    promtool = shutil.which("promtool")
    assert promtool is not None
    root: Path = tmp_path_factory.mktemp("prometheus")
    (root / "prometheus" / "data").mkdir(parents=True)
    (root / "series").write_text("\n".join(series()) + "\n")
    command = [promtool, "tsdb", "create-blocks-from", "openmetrics", root / "series", root / "prometheus" / "data"]
    subprocess.run(command, check=True, capture_output=True)
    server = stack_prometheus.start(root, targets={})

    def answer(expression: str) -> list[Any]:
        query = urlencode({"query": expression, "time": MOMENT})
        with urlopen(f"{server.url}/api/v1/query?{query}", timeout=10) as response:
            found: list[Any] = json.load(response)["data"]["result"]
        return found

    yield answer
    server.stop()


def test_prometheus_answers_every_panel_with_data(ask: Callable[[str], list[Any]]) -> None:
    empty = [
        target.name for target in dashboards.targets("prometheus") if not ask(dashboards.promql(target.query["expr"]))
    ]
    assert empty == []


def test_prometheus_has_no_answer_for_what_nobody_predicted(ask: Callable[[str], list[Any]]) -> None:
    """So the choice of a model reaches every panel that can be chosen, and an empty one shows its own words."""
    for target in dashboards.targets("prometheus"):
        if "$model" in target.query["expr"]:
            found = ask(dashboards.promql(target.query["expr"], model="nobody"))
            assert all(float(row["value"][1]) == 0 for row in found), target.name


def test_no_traffic_is_no_latency_and_no_share_of_errors(ask: Callable[[str], list[Any]]) -> None:
    """Neither NaN nor a reassuring 0."""
    for target in dashboards.targets("prometheus"):
        text = target.query["expr"]
        if "histogram_quantile" in text or " / (" in text:
            assert ask(dashboards.promql(text, __rate_interval="1s")) == [], target.name


@pytest.fixture
def search(elasticsearch_client: Any) -> Iterator[Callable[..., dict[str, Any]]]:
    """Ask a store with succeeded, failed, slow and cached records of two models."""
    layout = Layout(environment=f"boards{mint().hex}")
    store, now = ElasticStore(elasticsearch_client, layout), datetime.now(UTC)
    number = Value("output", "score", number=0.25)
    failed = {"status": "failed", "error_code": "model_error", "error": "it broke", "outputs": None}
    kinds: list[dict[str, Any]] = [{}, {"total_ms": 900.0, "cached": True}, {"values": (number,)}, failed]
    kept = [
        a_record(moment=now - timedelta(seconds=90 + place), model=model, **kind)
        for model in ("iris", "penguins")
        for place, kind in enumerate(kinds)
    ]
    assert store.create(kept) == [Outcome.STORED] * len(kept)
    store.refresh()
    until = int(now.timestamp() * 1000)

    def answer(query: Any, **chosen: str) -> dict[str, Any]:
        body = dashboards.search(query, since=until - 3_600_000, until=until, **chosen)
        found: dict[str, Any] = elasticsearch_client.search(index=layout.pattern, **_arguments(body)).body
        return found

    yield answer
    for row in elasticsearch_client.cat.indices(index=layout.pattern, h="index", format="json"):
        elasticsearch_client.indices.delete(index=row["index"])


def _arguments(body: dict[str, Any]) -> dict[str, Any]:
    return {("aggregations" if name == "aggs" else name): value for name, value in body.items()}


def counted(answer: Any) -> int:
    """Documents in the innermost buckets of an aggregation's answer, or hits without one."""
    if "aggregations" not in answer:
        return len(answer["hits"]["hits"])
    return _innermost(answer["aggregations"])


def _innermost(level: Any) -> int:
    inner = [item for item in level.values() if isinstance(item, dict) and ("buckets" in item or "doc_count" in item)]
    if not inner:
        return int(level.get("doc_count", 0))
    total = 0
    for item in inner:
        buckets = item.get("buckets")
        parts = [item] if buckets is None else list(buckets.values()) if isinstance(buckets, dict) else buckets
        total += sum(_innermost(part) for part in parts)
    return total


def test_elasticsearch_answers_every_panel_with_data(search: Callable[..., dict[str, Any]]) -> None:
    assert [target.name for target in dashboards.targets("records") if not counted(search(target.query))] == []


def test_elasticsearch_finds_nothing_of_a_model_nobody_asked(search: Callable[..., dict[str, Any]]) -> None:
    found = {target.name: counted(search(target.query, model="nobody")) for target in dashboards.targets("records")}
    assert set(found.values()) == {0}, found


def test_values_are_spread_out_for_the_chosen_output_alone(search: Callable[..., dict[str, Any]]) -> None:
    (target,) = [item for item in dashboards.targets("records") if item.panel == "Distribution of output values"]
    assert counted(search(target.query, output="score")) == 2
    assert counted(search(target.query, output="sepal_length")) == 0
