"""Settings that contradict each other are refused by name."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from serving_site import checks, env

EMBEDDED = {
    "HOST": "127.0.0.1",
    "LOOPBACK": env.LOOPBACK,
    "SERVER_PROCESSES": 1,
    "RABBITMQ_URL": "",
    "REDIS_URL": "",
    "DATABASE_URL": "",
    "ANONYMOUS_PROJECT": "demo",
    "DEBUG": False,
    "REDIS_RESULTS_URL": "",
    "ARTIFACT_URL": "",
    "ARTIFACT_ACCESS_KEY": "",
    "ARTIFACT_SECRET_KEY": "",
    "FOLLOW_LOGS": [],
    "OTEL_EXPORTER_OTLP_ENDPOINT": "",
}
SERVICES = {
    **EMBEDDED,
    "HOST": "0.0.0.0",
    "RABBITMQ_URL": "amqp://broker",
    "REDIS_URL": "redis://cache",
    "DATABASE_URL": "postgresql://rows",
    "ANONYMOUS_PROJECT": "",
}


def problems(base: dict[str, Any], **changed: Any) -> list[str | None]:
    return [problem.id for problem in checks.impossible(SimpleNamespace(**{**base, **changed}))]


@pytest.mark.parametrize("settings", [EMBEDDED, SERVICES], ids=["embedded", "services"])
def test_both_ways_to_run_are_possible(settings: dict[str, Any]) -> None:
    assert problems(settings) == []


@pytest.mark.parametrize(
    ("settings", "changed", "wanted"),
    [
        (EMBEDDED, {"SERVER_PROCESSES": 2}, "serving.E001"),
        (SERVICES, {"REDIS_URL": ""}, "serving.E002"),
        (SERVICES, {"DATABASE_URL": ""}, "serving.E003"),
        (EMBEDDED, {"HOST": "0.0.0.0"}, "serving.E004"),
        (EMBEDDED, {"HOST": "192.168.1.5"}, "serving.E004"),
        (SERVICES, {"HOST": "127.0.0.1", "ANONYMOUS_PROJECT": "demo"}, "serving.E005"),
        (SERVICES, {"DEBUG": True}, "serving.E006"),
        (EMBEDDED, {"REDIS_RESULTS_URL": "redis://results"}, "serving.E007"),
        (SERVICES, {"REDIS_RESULTS_URL": "http://results"}, "serving.E008"),
        (SERVICES, {"REDIS_URL": "redis+sentinel://guard:26379"}, "serving.E008"),
        (SERVICES, {"ARTIFACT_URL": "s3://"}, "serving.E009"),
        (SERVICES, {"ARTIFACT_URL": "https://somewhere/else"}, "serving.E009"),
        (SERVICES, {"ARTIFACT_ACCESS_KEY": "half"}, "serving.E010"),
        (SERVICES, {"FOLLOW_LOGS": ["mysql:/var/log/mysql.log"]}, "serving.E011"),
        (EMBEDDED, {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, "serving.E012"),
    ],
)
def test_an_impossible_combination_is_refused(settings: dict[str, Any], changed: dict[str, Any], wanted: str) -> None:
    assert problems(settings, **changed) == [wanted]


def test_logs_may_be_followed_and_traces_sent() -> None:
    collector = "http://collector:4318"
    assert problems(SERVICES, FOLLOW_LOGS=["redis:/var/log/redis/*.log"], OTEL_EXPORTER_OTLP_ENDPOINT=collector) == []


def test_several_server_processes_are_fine_beside_a_broker() -> None:
    assert problems(SERVICES, SERVER_PROCESSES=4) == []


def test_a_problem_says_what_to_do() -> None:
    every = checks.impossible(SimpleNamespace(**{**EMBEDDED, "HOST": "0.0.0.0", "SERVER_PROCESSES": 2, "DEBUG": True}))
    assert len(every) == 3
    assert all("Set " in str(problem.hint) for problem in every)
