"""The dashboards are what the code makes, complete, and ask only for what is measured and stored."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml
from django.urls import resolve
from django_prometheus.middleware import Metrics

from monitoring import metrics
from monitoring.api import queries
from monitoring.stores import elastic
from tests import dashboards

#: Metrics of others that panels may use, with the labels they have.
OTHERS = {
    "up": {"job", "instance"},
    "process_resident_memory_bytes": {"job", "instance"},
    "process_cpu_seconds_total": {"job", "instance"},
    "rabbitmq_queue_messages_ready": set(),
    "rabbitmq_queue_messages_unacked": set(),
    "rabbitmq_process_resident_memory_bytes": {"instance"},
    "rabbitmq_resident_memory_limit_bytes": {"instance"},
    "rabbitmq_connections": set(),
    "redis_connected_clients": {"instance", "role"},
    "redis_memory_used_bytes": {"instance", "role"},
    "redis_memory_max_bytes": {"instance", "role"},
    "redis_evicted_keys_total": {"instance", "role"},
    "pg_stat_activity_count": {"instance", "datname", "state"},
    "pg_stat_database_xact_commit": {"datname"},
    "pg_stat_database_xact_rollback": {"datname"},
    "pg_stat_user_tables_n_dead_tup": {"relname"},
    "pg_tables_n_dead_tup": {"relname"},
    "elasticsearch_jvm_memory_used_bytes": {"area", "name"},
    "elasticsearch_jvm_memory_max_bytes": {"area", "name"},
    "elasticsearch_filesystem_data_available_bytes": {"name"},
    "elasticsearch_filesystem_data_size_bytes": {"name"},
    "elasticsearch_cluster_health_unassigned_shards": set(),
    "elasticsearch_cluster_health_initializing_shards": set(),
    "elasticsearch_cluster_health_number_of_pending_tasks": set(),
    "node_filesystem_avail_bytes": {"fstype", "mountpoint"},
    "node_filesystem_size_bytes": {"fstype", "mountpoint"},
    "node_memory_MemAvailable_bytes": {"instance"},
    "node_memory_MemTotal_bytes": {"instance"},
    "node_cpu_seconds_total": {"mode", "instance"},
}
WORDS = {"sum", "max", "min", "avg", "count", "rate", "increase", "topk", "histogram_quantile", "by", "or", "offset"}
CHOICES = {"project", "model", "version"}
PAGES = pytest.mark.parametrize("name", dashboards.NAMES)


def measured() -> dict[str, set[str]]:
    """Every sample that may be asked for, with its labels."""
    found = dict(OTHERS)
    own = Metrics.get_instance()
    django = [value for value in vars(own).values() if hasattr(value, "_type")]
    for metric in django:
        found |= _samples(
            metric._name + ("_total" if metric._type == "counter" else ""), metric._type, metric._labelnames
        )
    for item in metrics.DECLARED:
        found |= _samples(item.name, item.kind, item.labels)
    return found


def _samples(name: str, kind: str, labels: tuple[str, ...]) -> dict[str, set[str]]:
    given = {*labels, "job", "instance"}
    if kind == "histogram":
        return {f"{name}_bucket": {*given, "le"}, f"{name}_sum": given, f"{name}_count": given}
    return {name: given}


def expressions() -> Iterator[tuple[str, str]]:
    for target in dashboards.targets("prometheus"):
        yield target.name, target.query["expr"]
    for rule in provisioned("alerting/rules.yml")["groups"][0]["rules"]:
        yield rule["title"], rule["data"][0]["model"]["expr"]


def provisioned(name: str) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((dashboards.FOLDER / "provisioning" / name).read_text())
    return read


def test_committed_dashboards_are_what_the_code_makes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, dashboards.FOLDER / "build", tmp_path], check=True)
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    kept = {path.name: path.read_text() for path in (dashboards.FOLDER / "dashboards").iterdir()}
    assert made == kept, "run `python docker/grafana/build`"
    assert set(made) == {f"{name}.json" for name in dashboards.NAMES}


@PAGES
def test_every_panel_tells_its_unit_what_it_shows_and_what_an_empty_one_means(name: str) -> None:
    for panel in dashboards.panels(dashboards.read(name)):
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["title"], panel["id"]
        assert panel["description"].endswith("."), panel["title"]
        assert len(defaults["noValue"]) > 5, panel["title"]
        assert defaults["unit"], panel["title"]
        assert panel["targets"], panel["title"]


@PAGES
def test_every_panel_links_to_what_lies_behind_it(name: str) -> None:
    for panel in dashboards.panels(dashboards.read(name)):
        links = [*panel["links"], *panel["fieldConfig"]["defaults"]["links"]]
        assert panel["links"], panel["title"]
        for link in links:
            assert link["url"].startswith("${site}/"), link
            _check_link(link["url"].removeprefix("${site}"))


def _check_link(url: str) -> None:
    path, known = urlsplit(url).path, {*queries.CONDITIONS, "value", "project"}
    resolve(path.replace("${__data.fields.id}", "0195f000-0000-7000-8000-000000000000"))
    unknown = [name for name, _ in parse_qsl(urlsplit(url).query) if name not in known]
    assert unknown == [], url


@PAGES
def test_links_use_only_labels_that_the_series_have(name: str) -> None:
    for panel in dashboards.panels(dashboards.read(name)):
        used = set(re.findall(r"__field\.labels\.(\w+)", json.dumps(panel["fieldConfig"])))
        for query in panel["targets"]:
            if "expr" in query:
                given = {label for part in re.findall(r"by \(([^)]*)\)", query["expr"]) for label in part.split(", ")}
            else:
                given = {bucket.get("field") for bucket in query["bucketAggs"]}
            assert used <= given, panel["title"]


@PAGES
def test_ids_are_unique_and_panels_do_not_overlap(name: str) -> None:
    page = dashboards.read(name)
    numbers = [panel["id"] for panel in page["panels"]]
    assert len(set(numbers)) == len(numbers)
    taken: set[tuple[int, int]] = set()
    for panel in page["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert place["x"] + place["w"] <= 24, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells
        assert [query["refId"] for query in panel.get("targets", [])] == list("ABCDEFGH")[
            : len(panel.get("targets", []))
        ]


@PAGES
def test_a_dashboard_refreshes_and_every_variable_of_it_is_used(name: str) -> None:
    page = dashboards.read(name)
    assert page["refresh"] == "10s"
    variables = {variable["name"]: variable for variable in page["templating"]["list"]}
    assert set(variables) >= CHOICES
    everything = json.dumps(page["panels"])
    assert [variable for variable in variables if not re.search(rf"\${{?{variable}\b", everything)] == []
    used = set(re.findall(r"\$\{?(\w+)", everything))
    assert used - set(variables) <= {*dashboards.BUILT_IN, "__from", "__to", "__field", "__data"}


def test_dashboards_have_different_ids_and_titles() -> None:
    pages = [dashboards.read(name) for name in dashboards.NAMES]
    assert len({page["uid"] for page in pages}) == len({page["title"] for page in pages}) == len(pages)


@pytest.mark.parametrize(("name", "expression"), [pytest.param(*item, id=item[0]) for item in expressions()])
def test_expressions_use_measured_metrics_and_their_labels(name: str, expression: str) -> None:
    known = measured()
    plain = re.sub(r'"[^"]*"', '""', expression)
    named = set(
        re.findall(r"(?<![\w$.])[a-z_]\w{1,}(?=[{\[)\s]|$)", re.sub(r"\{[^}]*\}|by \([^)]*\)|\[[^]]*\]", " ", plain))
    )
    assert named - WORDS <= set(known), name
    for metric, labels in re.findall(r"(\w+)\{([^}]*)\}", plain):
        given = set(re.findall(r"(\w+)=", labels))
        assert given <= known[metric], (name, metric)
        assert not (given & CHOICES) or given >= known[metric] & CHOICES, f"{name}: {metric} is not fully chosen"


def test_every_expression_is_promql(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    rules = [
        {"record": f"panel:{number}", "expr": dashboards.promql(expression)}
        for number, (_, expression) in enumerate(expressions())
    ]
    path = tmp_path / "rules.yml"
    path.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    ended = subprocess.run([promtool, "check", "rules", path], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"{len(rules)} rules found" in ended.stdout


def test_elasticsearch_targets_name_only_fields_of_a_record() -> None:
    mapping = elastic.RecordDocument._doc_type.mapping.to_dict()["properties"]
    known = {*mapping, *(f"values.{name}" for name in mapping["values"]["properties"])}
    for target in dashboards.targets("records"):
        assert dashboards.fields(target.query) <= known, target.name
        assert dashboards.fields(target.query) >= CHOICES, target.name
        body = dashboards.search(target.query, since=0, until=1)
        assert "$" not in json.dumps(body), target.name


def test_columns_that_tables_keep_are_fields_of_a_record() -> None:
    mapping = elastic.RecordDocument._doc_type.mapping.to_dict()["properties"]
    for name in dashboards.NAMES:
        for panel in dashboards.panels(dashboards.read(name)):
            for step in panel.get("transformations", []):
                kept = step["options"].get("include", {}).get("names", [])
                assert set(kept) <= set(mapping), panel["title"]


def test_performance_compares_with_a_day_and_a_week_before() -> None:
    found = [target.query["expr"] for target in dashboards.targets("prometheus") if target.page == "performance"]
    assert sum(" offset 1d" in text for text in found) == sum(" offset 1w" in text for text in found) >= 3


def test_data_sources_are_those_the_panels_ask() -> None:
    sources = {item["uid"]: item for item in provisioned("datasources/datasources.yml")["datasources"]}
    assert {uid: item["type"] for uid, item in sources.items()} == {
        "prometheus": "prometheus",
        "records": "elasticsearch",
        "alertmanager": "alertmanager",
    }
    settings = sources["records"]["jsonData"]
    assert settings["index"] == f"{elastic.PREFIX}-*"
    assert {target.query["timeField"] for target in dashboards.targets("records")} == {settings["timeField"]}
    for name in dashboards.NAMES:
        for panel in dashboards.panels(dashboards.read(name)):
            source = panel["datasource"]
            assert sources[source["uid"]]["type"] == source["type"], panel["title"]


def test_provider_reads_a_folder_and_the_alert_is_whole() -> None:
    provider = provisioned("dashboards/dashboards.yml")["providers"][0]
    assert provider["type"] == "file"
    assert provider["options"]["path"] == "${DASHBOARDS_FOLDER}"
    (group,) = provisioned("alerting/rules.yml")["groups"]
    assert group["folder"] == provider["folder"]
    for rule in group["rules"]:
        steps = {step["refId"]: step for step in rule["data"]}
        assert rule["condition"] in steps
        assert all(step["model"]["refId"] == name for name, step in steps.items())
        assert {step["datasourceUid"] for step in steps.values()} <= {"prometheus", "__expr__"}
        assert steps[rule["condition"]]["model"]["expression"] in steps
        panel = int(rule["annotations"]["__panelId__"])
        shown = [
            name for name in dashboards.NAMES if dashboards.read(name)["uid"] == rule["annotations"]["__dashboardUid__"]
        ]
        assert panel in {item["id"] for item in dashboards.panels(dashboards.read(shown[0]))}


def test_a_dollar_sign_in_the_alert_is_written_twice() -> None:
    """Grafana replaces single ones by its environment before it reads the rule."""
    text = (dashboards.FOLDER / "provisioning" / "alerting" / "rules.yml").read_text()
    assert "$$" in text
    assert re.findall(r"(?<!\$)\$(?!\$)", text) == []
