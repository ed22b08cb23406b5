"""Prometheus' configuration, rules and runbook hold together, and name only metrics that exist."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from models_registry import errors
from monitoring import metrics
from serving_site import api
from serving_site.stack import alertmanager, prometheus
from serving_site.stack.prometheus import HOME

TESTS = sorted((HOME / "tests").glob("*.yml"))

#: What others export: the server's plugin or the exporter that the job of its name scrapes, and Prometheus itself.
FOREIGN = {
    "up",
    "node_filesystem_avail_bytes",
    "node_filesystem_size_bytes",
    "node_memory_MemAvailable_bytes",
    "node_memory_MemTotal_bytes",
    "pg_up",
    "redis_up",
    "redis_memory_used_bytes",
    "redis_memory_max_bytes",
    "elasticsearch_cluster_health_status",
    "rabbitmq_detailed_queue_consumers",
    "rabbitmq_alarms_memory_used_watermark",
    "rabbitmq_alarms_free_disk_space_watermark",
}
#: Ends that are not the client's doing although `/v2` answers them with a status below 500.
FAULTS_BELOW_500 = {"model_error", "unusable_output", "deadline_passed"}
#: What PromQL itself says.
_WORDS = set(
    re.findall(
        r"\w+",
        "sum by rate increase or and unless on offset max min deriv absent label_replace histogram_quantile"
        " max_over_time last_over_time predict_linear",
    )
)

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (package prometheus) is missing")


def rules(name: str) -> list[dict[str, Any]]:
    groups = yaml.safe_load((HOME / "rules" / name).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


ALERTS = rules("alerts.yml")
RECORDED = rules("recording.yml")


def named(expression: str) -> set[str]:
    """Metrics in an expression: its words without strings, windows, groupings and PromQL's own."""
    bare = re.sub(r'"[^"]*"|\[[^\]]*\]', "", expression)
    bare = re.sub(r"\b(?:by|on)\s*\([^)]*\)|\{[^}]*\}", " ", bare)
    return set(re.findall(r"(?<![\w.])[a-zA-Z_][\w:]*", bare)) - _WORDS


def exported() -> Iterator[str]:
    for metric in metrics.DECLARED:
        yield metric.name
        if metric.kind == "histogram":
            yield from (f"{metric.name}_{part}" for part in ("bucket", "count", "sum"))


def cases() -> Iterator[tuple[str, bool]]:
    """(alert, whether the case expects it to fire)"""
    for path in TESTS:
        for group in yaml.safe_load(path.read_text())["tests"]:
            for case in group.get("alert_rule_test", []):
                yield case["alertname"], bool(case["exp_alerts"])


def promtool(*words: str | Path) -> None:
    done = subprocess.run(["promtool", *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def anchors() -> dict[str, str]:
    """Anchor → its paragraph, of every heading of the runbook."""
    parts = re.split(r"^#+ (.+)$", (HOME / "RUNBOOK.md").read_text(), flags=re.MULTILINE)[1:]
    return {title.lower().replace(" ", "-"): text.strip() for title, text in zip(parts[::2], parts[1::2], strict=True)}


@needs_promtool
def test_promtool_takes_the_configuration_and_the_rules() -> None:
    promtool("check", "config", HOME / "prometheus.yml")


@needs_promtool
@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_alerts_fire_and_are_quiet_as_their_cases_say(path: Path) -> None:
    promtool("test", "rules", path)


@pytest.mark.skipif(shutil.which("amtool") is None, reason="amtool (package prometheus-alertmanager) is missing")
def test_amtool_takes_the_alertmanagers_configuration() -> None:
    done = subprocess.run(["amtool", "check-config", HOME / "alertmanager.yml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_alertmanager_names_only_alerts_and_severities_that_exist() -> None:
    configuration = yaml.safe_load((HOME / "alertmanager.yml").read_text())
    told = [rule[side] for rule in configuration["inhibit_rules"] for side in ("source_matchers", "target_matchers")]
    told += [route["matchers"] for route in configuration["route"]["routes"]]
    values: dict[str, set[str]] = {"alertname": set(), "severity": set()}
    for name, value in re.findall(r'(\w+)=~?"([^"]+)"', "\n".join(text for matchers in told for text in matchers)):
        values.setdefault(name, set()).update(value.split("|"))
    assert values["alertname"] <= {rule["alert"] for rule in ALERTS}
    assert values["severity"] <= {"page", "ticket"} == {rule["labels"]["severity"] for rule in ALERTS}


def test_rules_name_only_metrics_that_exist() -> None:
    known = {*exported(), *FOREIGN, *(rule["record"] for rule in RECORDED)}
    unknown = {rule.get("alert") or rule["record"]: named(rule["expr"]) - known for rule in ALERTS + RECORDED}
    assert {rule: names for rule, names in unknown.items() if names} == {}


def test_a_metric_that_does_not_exist_is_found() -> None:
    assert named('sum by (le) (rate(made_up_total{code="x"}[5m])) > 2 * other:made:up offset 1d') == {
        "made_up_total",
        "other:made:up",
    }


def test_no_foreign_metric_is_listed_that_no_rule_uses() -> None:
    assert set().union(*(named(rule["expr"]) for rule in ALERTS + RECORDED)) >= FOREIGN


def test_label_values_in_rules_are_those_that_are_counted() -> None:
    text = "\n".join(rule["expr"] for rule in ALERTS + RECORDED)
    for metric in (metrics.RECORDS, metrics.LOG_LINES):
        found = re.findall(rf'{metric.name}{{outcome=~?"([^"]+)"', text)
        assert found, metric.name
        assert {value for values in found for value in values.split("|")} <= set(metric.values)
    assert len(re.findall("outcome=", text)) == len(re.findall(r"_total{outcome=", text))


def test_faults_are_the_errors_that_are_not_the_clients_doing() -> None:
    codes = {kind.code for kind in _kinds(errors.DomainError)} | {"internal"}
    expected = {code for code in codes if api.STATUSES[code][0] >= 500} - {"not_implemented"} | FAULTS_BELOW_500
    told = [
        re.search(r'code=~"([^"]+)"', rule["expr"]) for rule in RECORDED if ":serving_faults:rate" in rule["record"]
    ]
    assert len(told) == 5
    assert all(found is not None and set(found.group(1).split("|")) == expected for found in told)


def _kinds(kind: type[errors.DomainError]) -> Iterator[type[errors.DomainError]]:
    yield kind
    for below in kind.__subclasses__():
        if below.__module__ == errors.__name__:
            yield from _kinds(below)


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_is_quiet() -> None:
    assert {rule["alert"] for rule in ALERTS} == {name for name, fires in cases() if fires}
    assert {rule["alert"] for rule in ALERTS} == {name for name, fires in cases() if not fires}


def test_every_alert_links_its_paragraph_and_every_paragraph_has_its_alert() -> None:
    found = anchors()
    for rule in ALERTS:
        path, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert path == "docker/prometheus/RUNBOOK.md"
        assert anchor == rule["alert"].lower()
        assert len(found[anchor].split()) >= 20, anchor
    text = (HOME / "RUNBOOK.md").read_text()
    assert re.findall(r"^### (.+)$", text, re.MULTILINE) == [rule["alert"] for rule in ALERTS]


def test_the_runbook_names_only_metrics_that_exist() -> None:
    told = set(re.findall(r"`((?:serving_|\w+:)[\w:]+)", (HOME / "RUNBOOK.md").read_text()))
    assert told <= {*exported(), *(rule["record"] for rule in RECORDED)}


def test_cases_evaluate_what_is_recorded_before_what_is_alerted() -> None:
    files = [yaml.safe_load((HOME / "rules" / name).read_text()) for name in ("recording.yml", "alerts.yml")]
    order = [group["name"] for file in files for group in file["groups"]]
    told = [yaml.safe_load(path.read_text())["group_eval_order"] for path in TESTS]
    assert all(groups == order[: len(groups)] for groups in told)
    assert order in told


def test_names_are_given_once() -> None:
    names = [rule.get("alert") or rule["record"] for rule in ALERTS + RECORDED]
    assert len(names) == len(set(names))


def test_ninety_days_are_kept() -> None:
    assert (HOME / "flags").read_text().split() == ["--storage.tsdb.retention.time=90d"]


@needs_promtool
def test_the_stack_scrapes_the_same_jobs_by_the_same_rules(tmp_path: Path) -> None:
    places = {"web": ["127.0.0.1:1"], "rabbitmq": ["127.0.0.1:2"], "extra": ["127.0.0.1:3"]}
    made = prometheus.configuration(places)
    jobs = {job["job_name"]: job for job in made["scrape_configs"]}
    assert set(jobs) == {"web", "rabbitmq", "rabbitmq-queues", "extra"}
    assert jobs["web"] == {"job_name": "web", "static_configs": [{"targets": ["127.0.0.1:1"]}]}
    assert jobs["rabbitmq-queues"]["metrics_path"] == "/metrics/detailed"
    assert jobs["rabbitmq-queues"]["static_configs"] == [{"targets": ["127.0.0.1:2"]}]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(made))
    promtool("check", "config", tmp_path / "prometheus.yml")


def test_the_stacks_prometheus_tells_its_alertmanager() -> None:
    made = prometheus.configuration({"alertmanager": ["127.0.0.1:4"]})
    assert made["alerting"] == {"alertmanagers": [{"static_configs": [{"targets": ["127.0.0.1:4"]}]}]}
    assert [job["job_name"] for job in made["scrape_configs"]] == ["alertmanager"]
    assert "alerting" not in prometheus.configuration({"web": ["127.0.0.1:1"]})


def test_the_stacks_alertmanager_has_the_shipped_routes_and_another_receiver_or_none() -> None:
    shipped = yaml.safe_load((HOME / "alertmanager.yml").read_text())
    quiet = alertmanager.configuration(receiver="", times_faster=1)
    assert (quiet["route"], quiet["inhibit_rules"]) == (shipped["route"], shipped["inhibit_rules"])
    assert quiet["receivers"] == [{"name": "pages"}, {"name": "tickets"}]
    told = alertmanager.configuration(receiver="http://127.0.0.1:5", times_faster=30)
    assert [one["webhook_configs"][0]["url"] for one in told["receivers"]] == [
        "http://127.0.0.1:5/pages",
        "http://127.0.0.1:5/tickets",
    ]
    route = told["route"]
    assert (route["group_wait"], route["group_interval"], route["routes"][0]["repeat_interval"]) == ("1s", "4s", "120s")


@needs_promtool
def test_scaled_rules_are_the_same_rules_with_shorter_windows(tmp_path: Path) -> None:
    text = "for: 10m\ninterval: 1h\nexpr: rate(a_1h_total[1h]) > 5 * last_over_time(rate5m[2h] offset 1d) + b[5m]"
    assert prometheus.scaled(text, 60) == (
        "for: 10s\ninterval: 5s\nexpr: rate(a_1h_total[60s]) > 5 * last_over_time(rate5m[120s] offset 1440s) + b[20s]"
    )
    for name, shipped in (("alerts.yml", ALERTS), ("recording.yml", RECORDED)):
        copy = tmp_path / name
        copy.write_text(prometheus.scaled((HOME / "rules" / name).read_text(), 60))
        promtool("check", "rules", copy)
        rewritten = [rule for group in yaml.safe_load(copy.read_text())["groups"] for rule in group["rules"]]
        assert [rule.get("alert") or rule["record"] for rule in rewritten] == [
            rule.get("alert") or rule["record"] for rule in shipped
        ]
        assert rewritten != shipped
