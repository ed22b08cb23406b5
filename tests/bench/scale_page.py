"""What the section `scale` shows: measured against simulated, and many workers on paper."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.bench import charts

#: As the model in `tests.bench.queueing` tells them, for the reader of the page.
ASSUMED = (
    "Assumed: each worker process runs the model for one prediction at a time, for a time drawn from those measured "
    "one by one on the idle system; before that the prediction takes its whole cost of the ledger at once, from one "
    "PostgreSQL primary that has {cores} cores of this machine to itself (it carries {most}/s), each doing one at a "
    "time; web, keepers, RabbitMQ, Redis and Elasticsearch grow along and make nobody wait; the network is free and "
    "nothing fails. Costs are processor time per prediction of iris under full load. Waiting is for a worker and "
    "the ledger, arrivals independent, at 80 % of what so many workers reach. Online calls take nothing of the ledger."
)


def text(document: Mapping[str, Any]) -> Iterator[str]:
    """Two tables and what they assume; nothing where the section was never run."""
    if not document:
        return
    lines = [
        f"**More processes, a model that waits 50 ms a row** (services mode, rounds: {document['rounds']}, "
        f"{document['worker_threads']} threads a worker process; one row takes {document['service_ms']:.3g} ms on the "
        "idle system)",
        "",
        "| path | processes | measured/s | beside one | simulated/s | simulation off by |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    alone = {row["path"]: row["per_s"] for row in document["rows"] if row["processes"] == 1}
    lines += [
        f"| {_named(row)} | {row['processes']} | {row['per_s']:.3g} | {row['per_s'] / alone[row['path']]:.2f} × | "
        f"{row['simulated_per_s']:.3g} | {row['error_percent']:+.1f} % |"
        for row in document["rows"]
    ]
    yield "\n".join(lines)
    yield "\n".join(_on_paper(document))


def _on_paper(document: Mapping[str, Any]) -> Iterator[str]:
    parts = list(document["costs_us"])
    yield "**Simulated, not run: many worker processes of that model**"
    yield ""
    heads = " | ".join(f"{part}, cores" for part in parts)
    yield f"| workers | reach/s | models busy | ledger busy | gives way first | wait at 80 %, mean, p99 ms | {heads} |"
    yield "|" + "---:|" * (6 + len(parts))
    for row in document["simulated"]:
        cores = " | ".join(f"{row['cores'][part]:.2g}" for part in parts)
        yield (
            f"| {row['workers']:,} | {charts.shown(row['per_s'])} | {row['workers_busy']:.0%} | "
            f"{row['ledger_busy']:.0%} | {first(row)} | {row['wait_mean_ms']:.3g}, {row['wait_p99_ms']:.3g} | {cores} |"
        )
    yield ""
    most = charts.shown(document["ledger_most_per_s"])
    yield ASSUMED.format(cores=document["ledger_cores"], most=most)


def first(row: Mapping[str, Any]) -> str:
    """Which of the two stations is fuller."""
    return "the ledger" if row["ledger_busy"] > row["workers_busy"] else "the workers"


def drawing(document: Mapping[str, Any]) -> str:
    """Measured and simulated throughput, one bar each, by path and processes."""
    values = []
    for row in document["rows"]:
        label = f"{_named(row)}, {row['processes']} process{'es' if row['processes'] > 1 else ''}"
        values += [(label, row["per_s"], True), ("simulated", row["simulated_per_s"], False)]
    return charts.bars("a model that waits 50 ms a row, by processes", "/s", values)


def _named(row: Mapping[str, Any]) -> str:
    return "queued, workers" if row["path"] == "queued" else "online, web"
