"""Status: how every part, circuit, queue and process is, since when, what is on its way to the record store, and which
versions of what run here. It asks as often as health itself does, so it is as true as health."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from importlib import metadata
from typing import Any

from django.conf import settings
from django.db import Error, connection
from django.urls import reverse

from monitoring import health, metrics
from monitoring.metrics import Declared
from monitoring.pages import history, sheet
from monitoring.pages.history import Said
from monitoring.pages.seen import Seen
from monitoring.pages.sheet import Axis, Card, Cell, Sheet, Table

#: A process that runs has said something within this time.
RECENT_S = 60
TONES = {"ok": "good", "degraded": "warn", "down": "bad", "unavailable": "bad"}
_CIRCUITS = {0.0: ("closed", "good"), 0.5: ("trying", "warn"), 1.0: ("open", "bad")}
_PACKAGES = (
    "serving-blueprint",
    "Django",
    "celery",
    "granian",
    "onnxruntime",
    "scikit-learn",
    "numpy",
    "elasticsearch",
    "redis",
    "psycopg",
)
AWAY = "The database does not answer: what other processes say of themselves is missing here."


def page(seen: Seen) -> Sheet:
    report = health.report()
    notes = ["This process is stopping."] if report.get("draining") else []
    try:
        said = recent()
    except Error:
        said, notes = [], [*notes, AWAY]
    tables = [parts(report), processes(said), circuits(said), queues(said), on_the_way(said), software()]
    return Sheet(tuple(_cards(report, said)), tables=tuple(tables), notes=tuple(notes))


def recent() -> list[Said]:
    """The last word of every process that runs."""
    axis = Axis((datetime.now(UTC) - timedelta(seconds=RECENT_S),), 2 * RECENT_S)
    return history.read(axis, lasting=0).latest()


def _cards(report: dict[str, Any], said: list[Said]) -> Iterable[Card]:
    states = [part["state"] for part in report["parts"].values()]
    fine = states.count("ok")
    yield Card("Health of this process", report["status"], f"{fine} of {len(states)} parts ok", TONES[report["status"]])
    yield Card("Ready", "yes" if report["ready"] else "no", "takes requests", "good" if report["ready"] else "bad")
    unwell = sum(one.figures["health"] != "ok" for one in said)
    yield Card(
        "Processes", str(len(said)), f"{unwell} not well" if unwell else "all well", "warn" if unwell else "good"
    )
    waiting = sum(_most(said, metrics.QUEUE_DEPTH).values())
    yield Card("Waiting predictions", sheet.number(waiting), "in all queues")
    owed = sum(_most(said, metrics.UNRECORDED).values()) + sum(_most(said, metrics.SPOOL_CALLS).values())
    yield Card("Records on their way", sheet.number(owed), "spool and ledger")


def parts(report: dict[str, Any]) -> Table:
    """What this process depends on, as it finds it now."""
    since = health.since()
    rows = tuple(
        (
            Cell(name),
            Cell(part["state"], tone=TONES[part["state"]]),
            Cell(_ago(since.get(name))),
            Cell(part["detail"] or "–", is_long=True),
        )
        for name, part in sorted(report["parts"].items(), key=lambda item: (item[1]["state"] == "ok", item[0]))
    )
    says = "Asked by the process that made this page, now. What is not ok comes first."
    return Table(
        "parts", "Parts", says, ("Part", "State", "Since", "It says"), rows, "Nothing is watched.", is_wide=True
    )


def circuits(said: list[Said]) -> Table:
    """Which services and versions are not asked for a while, by the most open circuit of any process."""
    rows = []
    known = metrics.read_gauge(metrics.CIRCUIT_STATE)
    states = _most(said, metrics.CIRCUIT_STATE) | {labels[0]: value for labels, value in known.items()}
    for name in _unused():
        states.pop(name, None)
    for labels, value in metrics.read_gauge(metrics.VERSION_CIRCUIT).items():
        states["{}/{} {}".format(*labels)] = value
    for name, value in sorted(states.items()):
        state, tone = _CIRCUITS.get(value, ("open", "bad"))
        opened, refused = _total(said, metrics.CIRCUIT_OPENED, name), _total(said, metrics.CIRCUIT_REFUSALS, name)
        rows.append((Cell(name), Cell(state, tone=tone), _figure(opened), _figure(refused)))
    says = "A closed circuit lets calls through; an open one answers at once that the service is away."
    columns = ("Service or version", "Circuit", "Opened", "Calls spared")
    return Table("circuits", "Circuits", says, columns, tuple(rows), "No service is used that could go away.")


def _unused() -> list[str]:
    """Services that the settings replace by something within the process."""
    away = ["rabbitmq"] if settings.EMBEDDED else []
    return away if connection.vendor == "postgresql" else [*away, "postgresql"]


def queues(said: list[Said]) -> Table:
    depth, oldest = _most(said, metrics.QUEUE_DEPTH), _most(said, metrics.QUEUE_OLDEST)
    rows = tuple(
        (
            Cell(queue, link=reverse("admin:predictions_prediction_changelist")),
            _figure(depth[queue]),
            Cell(f"{oldest.get(queue, 0):.1f} s", is_number=True),
        )
        for queue in sorted(depth)
    )
    says = "Predictions of the ledger that wait for a worker."
    return Table("queues", "Queues", says, ("Queue", "Waiting", "Oldest"), rows, "No keeper has counted yet.")


def on_the_way(said: list[Said]) -> Table:
    """What keeper and spool have done and have still to do."""
    spool = {name: sum(_most(said, metric).values()) for name, metric in _SPOOL.items()}
    rows = [
        (Cell("Calls in the spool"), _figure(spool["calls"])),
        (Cell("Oldest of them"), Cell(f"{spool['oldest']:.1f} s", is_number=True)),
        (Cell("Bytes that wait"), Cell(sheet.size(spool["bytes"]), is_number=True)),
        (Cell("Segments on disk"), Cell(sheet.size(spool["disk"]), is_number=True)),
        (Cell("Ended rows without record"), _figure(sum(_most(said, metrics.UNRECORDED).values()))),
    ]
    for outcome in metrics.RECORDS.values:
        count = _total(said, metrics.RECORDS, outcome)
        tone = "bad" if count and outcome in ("lost", "conflict", "rejected") else ""
        rows.append((Cell(f"Records {outcome}"), Cell(sheet.number(count), tone=tone, is_number=True)))
    for name, metric in (("Nudges sent again", metrics.RETRIES), ("Claims run out", metrics.LEASE_EXPIRIES)):
        rows.append((Cell(name), _figure(_total(said, metric))))
    says = "Counted by the processes that run, since each began."
    return Table("on-the-way", "Keeper and spool", says, ("Figure", ""), tuple(rows), "")


_SPOOL = {
    "calls": metrics.SPOOL_CALLS,
    "oldest": metrics.SPOOL_OLDEST,
    "bytes": metrics.SPOOL_BYTES,
    "disk": metrics.SPOOL_DISK,
}


def processes(said: list[Said]) -> Table:
    now = datetime.now(UTC)
    rows = tuple(
        (
            Cell(one.name),
            Cell(f"{one.host} {one.pid}"),
            Cell(one.figures["health"], tone=TONES[one.figures["health"]]),
            Cell(
                ", ".join(name for name, (state, _) in one.figures["parts"].items() if state != "ok") or "–",
                is_long=True,
            ),
            Cell(sheet.size(one.figures["memory"]), is_number=True),
            Cell(f"{one.figures['cpu']:.2f}", is_number=True),
            Cell(str(one.figures["threads"]), is_number=True),
            Cell(f"{(now - one.at).total_seconds():.0f} s ago", is_number=True),
        )
        for one in said
    )
    columns = ("Process", "Host and id", "Health", "Not ok", "Memory", "Cores", "Threads", "Heard")
    empty = "No process has told anything within a minute."
    return Table("processes", "Processes", "", columns, rows, empty, is_wide=True)


def _unwell(one: Said) -> str:
    return ", ".join(name for name, (state, _) in one.figures["parts"].items() if state != "ok")


def software() -> Table:
    rows = [(Cell("Python"), Cell(platform.python_version())), (Cell("Database"), Cell(_database()))]
    for name in _PACKAGES:
        try:
            rows.append((Cell(name), Cell(metadata.version(name))))
        except metadata.PackageNotFoundError:
            continue
    return Table("software", "Software", "Versions in this process.", ("What", "Version"), tuple(rows), "")


def _database() -> str:
    try:
        version = ".".join(map(str, connection.get_database_version()))
    except Error:
        return f"{connection.display_name}, away"
    return f"{connection.display_name} {version}"


def _most(said: list[Said], metric: Declared) -> dict[str, float]:
    """The largest value that any process says, by label: what several count, they count alike."""
    found: dict[str, float] = {}
    for one in said:
        for label, value in one.figures["gauges"].get(metric.name, {}).items():
            found[label] = max(value, found.get(label, value))
    return found


def _total(said: list[Said], metric: Declared, label: str = "") -> float:
    return float(sum(one.figures["counters"].get(metric.name, {}).get(label, 0) for one in said))


def _figure(value: float) -> Cell:
    return Cell(sheet.number(value), is_number=True)


def _ago(since: float | None) -> str:
    """How long ago, in the largest unit that fits."""
    if since is None:
        return "–"
    seconds = max(0.0, datetime.now(UTC).timestamp() - since)
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
