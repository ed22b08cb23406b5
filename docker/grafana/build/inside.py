"""Sections of the overview about what works inside: circuits before services, workers, the keeper, log lines."""

from __future__ import annotations

from typing import Any

from panels import HEALTH, METRICS, QUEUED, THIRD, VERSIONS, Text, behind, behind_each, series
from queries import VERSION, grouped, prom, rate

UNTOLD = "No process tells"


def services() -> list[Any]:
    return [
        series(
            Text(
                "Circuits",
                "Whether a service is asked: 0 by all, 0.5 by one who tries for all, 1 by nobody while it is away.",
                UNTOLD,
            ),
            prom("max by (service) (serving_circuit_state)", "{{service}}"),
            unit="short",
            links=[HEALTH],
            span=THIRD,
        ),
        series(
            Text("Told at once", "Calls per second that did not wait for a service that was taken for away.", UNTOLD),
            prom(rate("serving_circuit_refusals_total", by="service"), "{{service}}"),
            unit="ops",
            links=[HEALTH],
            span=THIRD,
        ),
        series(
            Text(
                "Circuits of versions",
                "1 while a version whose process kept dying is left alone, 0 while it answers.",
                "No version's process has died",
            ),
            prom(
                f"max{grouped('project, model, version')} (serving_version_circuit_state{{{VERSION}}})",
                "{{model}} {{version}}",
            ),
            unit="short",
            links=[behind("Failed records", status="failed"), behind_each("project", "model", "version"), VERSIONS],
            span=THIRD,
        ),
    ]


def workers() -> list[Any]:
    busy, threads = (
        rate("serving_worker_busy_seconds_total", by="instance"),
        "sum by (instance) (serving_worker_threads)",
    )
    return [
        series(
            Text(
                "Busy share of workers",
                "Share of the time that a worker's threads spent on batches.",
                "No worker tells",
            ),
            prom(f"{busy} / ({threads} > 0)", "{{instance}}"),
            unit="percentunit",
            links=[QUEUED, METRICS],
            span=THIRD,
        ),
        series(
            Text("Ended by queue", "Queued predictions that ended per second, by the queue they came from.", UNTOLD),
            prom(rate("serving_queue_ended_total", by="queue"), "{{queue}}"),
            unit="ops",
            links=[QUEUED, behind("Queued records", door="queued")],
            span=THIRD,
            stacked=True,
        ),
        series(
            Text(
                "Work of the keeper",
                "Rows per second: recorded; nudged again; returned, their lease ran out; ended past their time.",
                "No keeper tells",
            ),
            prom(rate("serving_keeper_rows_total", by="work"), "{{work}}"),
            unit="ops",
            links=[QUEUED, behind()],
            span=THIRD,
        ),
    ]
