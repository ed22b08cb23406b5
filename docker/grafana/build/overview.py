"""System overview and health: is it up, what does it answer, what waits, what is kept, what does it use."""

from __future__ import annotations

from typing import Any

import inside
import servers
from panels import HALF, HEALTH, METRICS, QUARTER, QUEUED, THIRD, VERSIONS, Text, behind, behind_each, figure, series
from panels import page as frame
from queries import MODEL, OR_ZERO, VERSION, increase, prom, quantile, rate, share_of_errors

OPEN = f"max by (project, model) (serving_open_predictions{{{MODEL}}})"
OURS = 'job=~"web|worker|keeper"'
LOST = increase("serving_records_total", 'outcome="lost"')


def page() -> Any:
    says = "Whether everything is up, what it answers and how fast, what waits, what is recorded and what it uses."
    sections = {
        **{"Now": now(), "Answers": answers(), "Queue": queue(), "Workers": inside.workers(), "Records": kept()},
        **{"Services": inside.services(), "Resources": resources(), "Servers": servers.servers()},
    }
    return frame("serving-overview", "System overview and health", says, sections)


def now() -> list[Any]:
    return [
        figure(
            Text("Predictions", "Predictions that ended per second, over both doors."),
            prom(rate("serving_predictions_total", VERSION)),
            unit="reqps",
            links=[behind()],
        ),
        figure(
            Text("Errors", "Share of predictions that ended with an error. Orange from 1 %, red from 5 %."),
            prom(share_of_errors()),
            unit="percentunit",
            links=[behind("Failed records", status="failed")],
            limits=(0.01, 0.05),
        ),
        figure(
            Text("Latency p95", "95 % of the online predictions were answered within this time. Red from 1 s."),
            prom(quantile(0.95, "serving_prediction_seconds", f'{VERSION},protocol="oip"')),
            unit="s",
            links=[behind("Records above 250 ms", min_ms="250")],
            limits=(0.25, 1),
        ),
        figure(
            Text("Open predictions", "Accepted for later and not ended yet.", "No queue is watched"),
            prom(f"sum({OPEN}) {OR_ZERO}"),
            unit="short",
            links=[QUEUED],
            limits=(1000, 10_000),
        ),
        figure(
            Text("Records lost", "Answers whose record is gone, within this time. Must stay 0.", "Nothing is scraped"),
            prom(f"{LOST} {OR_ZERO}"),
            unit="short",
            links=[HEALTH, behind()],
            limits=(0.5, 1),
        ),
        figure(
            Text(
                "Processes up", "Processes that answer Prometheus, as a share of those it knows.", "Nothing is scraped"
            ),
            prom("sum(up) / count(up)"),
            unit="percentunit",
            links=[HEALTH],
            limits=(0.9, 1),
            falling=True,
        ),
    ]


def answers() -> list[Any]:
    return [
        series(
            Text("Predictions by status", "Ended per second: succeeded, failed, canceled or aborted."),
            prom(rate("serving_predictions_total", VERSION, by="status"), "{{status}}"),
            unit="reqps",
            links=[behind(), behind_each("status")],
            span=QUARTER,
            stacked=True,
        ),
        series(
            Text("Latency", "From acceptance to answer, over both doors: half, 95 % and 99 % are faster."),
            *(
                prom(quantile(share, "serving_prediction_seconds", VERSION), name)
                for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
            ),
            unit="s",
            links=[behind("Records above 250 ms", min_ms="250")],
            span=QUARTER,
        ),
        series(
            Text("Processes", "Processes of each kind that answer Prometheus.", "Nothing is scraped"),
            prom("sum by (job) (up)", "{{job}}"),
            unit="short",
            links=[HEALTH],
            span=QUARTER,
        ),
        series(
            Text(
                "Parts",
                "1 while a part (database, broker, cache, record store …) is well in every process that uses it.",
                "No process tells",
            ),
            prom("min by (part) (serving_part_ok)", "{{part}}"),
            unit="short",
            links=[HEALTH],
            span=QUARTER,
        ),
    ]


def queue() -> list[Any]:
    messages = (("ready", "rabbitmq_queue_messages_ready"), ("with a worker", "rabbitmq_queue_messages_unacked"))
    return [
        series(
            Text("Open predictions by model", "From the ledger: accepted and not ended.", "Nothing waits"),
            prom(OPEN, "{{project}}/{{model}}"),
            unit="short",
            links=[QUEUED],
            span=THIRD,
            stacked=True,
        ),
        series(
            Text(
                "Waiting by queue",
                "Predictions of the ledger that no worker has taken yet, per queue.",
                "Nothing waits",
            ),
            prom("max by (queue) (serving_queue_depth)", "{{queue}}"),
            unit="short",
            links=[QUEUED],
            span=THIRD,
            stacked=True,
        ),
        series(
            Text(
                "Oldest waiting prediction",
                "Its age per queue: rises when workers are gone or too few.",
                "Nothing waits",
            ),
            prom("max by (queue) (serving_queue_oldest_seconds)", "{{queue}}"),
            unit="s",
            links=[QUEUED],
            span=THIRD,
        ),
        series(
            Text(
                "Messages in RabbitMQ",
                "Nudges that wait or are with a worker; one may name many predictions.",
                "No RabbitMQ",
            ),
            *(prom(f"sum({metric})", name) for name, metric in messages),
            unit="short",
            links=[QUEUED],
            span=HALF,
            stacked=True,
        ),
        series(
            Text(
                "Mended",
                "Claims that ran out and nudges sent again, per second: work of workers that went away.",
                "Nothing is scraped",
            ),
            prom(f"{rate('serving_lease_expiries_total')} {OR_ZERO}", "claims run out"),
            prom(f"{rate('serving_retries_total')} {OR_ZERO}", "nudges again"),
            unit="ops",
            links=[QUEUED],
            span=HALF,
        ),
    ]


def kept() -> list[Any]:
    return [
        series(
            Text(
                "Records by outcome",
                "What became of records, per second; duplicates are harmless.",
                "No record in this time",
            ),
            prom(rate("serving_records_total", by="outcome"), "{{outcome}}"),
            unit="ops",
            links=[behind(), HEALTH],
            span=QUARTER,
        ),
        series(
            Text(
                "Spool",
                "Records on local disk that wait for the store, and the size of its segments.",
                "No spool is watched",
            ),
            prom("sum(serving_spool_bytes)", "waiting"),
            prom("sum(serving_spool_disk_bytes)", "on disk"),
            unit="bytes",
            links=[HEALTH],
            span=QUARTER,
        ),
        series(
            Text("Unrecorded rows", "Ended queued predictions whose record is not stored yet.", "No ledger is watched"),
            prom("max(serving_unrecorded_rows)", "rows"),
            unit="short",
            links=[QUEUED, HEALTH],
            span=QUARTER,
        ),
        series(
            Text(
                "Oldest unstored record",
                "Age of the oldest online call that waits for the record store.",
                "No spool is watched",
            ),
            prom("max(serving_spool_oldest_seconds)", "oldest"),
            unit="s",
            links=[HEALTH],
            span=QUARTER,
        ),
    ]


def resources() -> list[Any]:
    unknown = "No process tells"
    return [
        series(
            Text(
                "Memory",
                "Resident memory of each process; of several web processes behind one port their sum.",
                unknown,
            ),
            prom(f"process_resident_memory_bytes{{{OURS}}}", "{{job}} {{instance}}"),
            prom("rabbitmq_process_resident_memory_bytes", "rabbitmq {{instance}}"),
            unit="bytes",
            links=[METRICS],
            span=THIRD,
        ),
        series(
            Text("Processor", "Processor time used per second: 1 is one core.", unknown),
            prom(f"rate(process_cpu_seconds_total{{{OURS}}}[$__rate_interval])", "{{job}} {{instance}}"),
            unit="short",
            links=[METRICS],
            span=THIRD,
        ),
        series(
            Text(
                "Memory of models",
                "What each loaded version was measured at, over all processes.",
                "No model is loaded",
            ),
            prom(
                f"sum by (project, model, version) (serving_model_memory_bytes{{{VERSION}}})", "{{model}} {{version}}"
            ),
            unit="bytes",
            links=[VERSIONS],
            span=THIRD,
            stacked=True,
        ),
        series(
            Text("Loaded versions", "Versions ready to predict, per process.", "No model is loaded"),
            prom("serving_loaded_models", "{{job}} {{instance}}"),
            unit="short",
            links=[VERSIONS],
            span=THIRD,
        ),
        series(
            Text("Age of the registry's snapshot", "Grows while the database is away; predictions go on.", unknown),
            prom("max by (job, instance) (serving_snapshot_age_seconds)", "{{job}} {{instance}}"),
            unit="s",
            links=[HEALTH],
            span=THIRD,
        ),
        series(
            Text(
                "Redis",
                "Calls of Redis that failed or were skipped, per second; answers then come without it.",
                "No call failed",
            ),
            prom(rate("serving_redis_failures_total", by="outcome"), "{{outcome}}"),
            unit="ops",
            links=[HEALTH],
            span=THIRD,
        ),
    ]
