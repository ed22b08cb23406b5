"""The checker: client ledger against rows and records, in the words of a total-queue check.

`judge` is pure; `collect` reads what a server has left in its data folder.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.chaos import ledger, oracle
from tests.chaos.ledger import Attempted

#: What must be empty.
BOLD = ("lost", "duplicated", "unexpected", "wrong", "double_terminal", "non_terminal")
TERMINAL = ("succeeded", "failed", "canceled", "aborted")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the server's ledger."""

    id: str
    status: str
    number: int | None


@dataclass(frozen=True, slots=True)
class Kept:
    """One record of the record store. `number` is its first input, None when it is none of ours."""

    id: str
    project: str
    model: str
    version: int
    status: str
    number: int | None
    second: int | None = None
    outputs: Any = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known after the drain. `endings` are terminal transitions per id, `claims` executions per id."""

    attempts: Sequence[Attempted]
    rows: Sequence[Row]
    records: Sequence[Kept]
    endings: Counter[str] = field(default_factory=Counter)
    claims: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Counts, and for the bold six what exactly is wrong."""

    counts: dict[str, int]
    findings: dict[str, list[str]]

    @property
    def clean(self) -> bool:
        return not any(self.findings[name] for name in BOLD)


def judge(evidence: Evidence) -> Verdict:
    """Compare; every finding names the call or the id it is about."""
    attempts = {attempt.call.number: attempt for attempt in evidence.attempts}
    recorded = {record.id for record in evidence.records}
    recorded_numbers = {record.number for record in evidence.records}
    findings = {
        "lost": _lost(evidence, recorded),
        "duplicated": _duplicated(evidence),
        "unexpected": [f"record {record.id}" for record in evidence.records if not _asked_for(record, attempts)],
        "wrong": [*_wrong_answers(evidence.attempts), *_wrong_records(evidence, attempts)],
        "double_terminal": [f"row {name} ended {times} times" for name, times in evidence.endings.items() if times > 1],
        "non_terminal": [f"row {row.id} is {row.status}" for row in evidence.rows if row.status not in TERMINAL],
    }
    acknowledged = [attempt for attempt in evidence.attempts if attempt.acknowledged]
    unknown = [attempt for attempt in evidence.attempts if attempt.unknown]
    counts = {
        "attempted": len(attempts),
        "acknowledged": len(acknowledged),
        "ok": sum(1 for attempt in acknowledged if any(item.outputs for item in attempt.acknowledged)),
        "refused": len(attempts) - len(acknowledged) - len(unknown),
        "unknown": len(unknown),
        "recovered": sum(1 for attempt in unknown if attempt.call.number in recorded_numbers),
        "recorded": len(recorded),
        "executions": sum(evidence.claims.values()),
        **{name: len(found) for name, found in findings.items()},
    }
    return Verdict(counts, findings)


def _lost(evidence: Evidence, recorded: set[str]) -> list[str]:
    """Acknowledged, or accepted (its row is committed), and not in the record store."""
    promised = {
        item.id: f"call {attempt.call.number}" for attempt in evidence.attempts for item in attempt.acknowledged
    }
    promised |= {row.id: f"row of call {row.number}" for row in evidence.rows if row.status in TERMINAL}
    return [f"{what}, prediction {name}" for name, what in promised.items() if name not in recorded]


def _duplicated(evidence: Evidence) -> list[str]:
    """Two records of one call (whatever their ids), or two ids given for one idempotency key."""
    times = Counter(record.number for record in evidence.records if record.number is not None)
    again = [f"call {number} has {count} records" for number, count in times.items() if count > 1]
    ids = Counter(record.id for record in evidence.records)
    again += [f"prediction {name} has {count} records" for name, count in ids.items() if count > 1]
    for attempt in evidence.attempts:
        given = {item.id for item in attempt.acknowledged}
        if len(given) > 1:
            again.append(f"call {attempt.call.number} was given {len(given)} ids")
    return again


def _asked_for(record: Kept, attempts: dict[int, Attempted]) -> bool:
    attempt = attempts.get(record.number) if record.number is not None else None
    return attempt is not None and attempt.call.second == record.second


def _wrong_answers(attempts: Sequence[Attempted]) -> list[str]:
    """Answers the clients got: of the version they named, for the inputs they had."""
    found = []
    for attempt in attempts:
        call = attempt.call
        for item in attempt.acknowledged:
            if item.outputs is None:
                continue
            version = call.wanted if call.wanted is not None else item.version
            if version is None or item.version != version:
                found.append(f"call {call.number} wanted version {call.wanted}, was told {item.version}")
            elif oracle.answer_of(item.outputs) != oracle.expected(call.project, call.model, version, call.row):
                found.append(f"call {call.number} was answered {item.outputs} by version {version}")
    return found


def _wrong_records(evidence: Evidence, attempts: dict[int, Attempted]) -> list[str]:
    """Records that say something else than the oracle, or of another project, model, version or id than promised."""
    found = []
    for record in evidence.records:
        attempt = attempts.get(record.number) if record.number is not None else None
        if attempt is None:
            continue
        call = attempt.call
        promised = {item.id for item in attempt.acknowledged}
        told = {item.version for item in attempt.acknowledged if item.version is not None}
        where = f"record {record.id} of call {call.number}"
        if (record.project, record.model) != (call.project, call.model):
            found.append(f"{where} is of {record.project}/{record.model}")
        elif call.wanted not in (None, record.version) or not told <= {record.version}:
            found.append(f"{where} is of version {record.version}; wanted {call.wanted}, told {sorted(told)}")
        elif promised and record.id not in promised:
            found.append(f"{where} has another id than the client was given")
        elif record.status != "succeeded":
            found.append(f"{where} is {record.status}")
        elif oracle.answer_of(record.outputs) != oracle.expected(
            record.project, record.model, record.version, call.row
        ):
            found.append(f"{where} says {record.outputs} for version {record.version}")
    return found


def collect(folder: Path, client_ledger: Path) -> Evidence:
    """Read the client's ledger and everything the server has left in its SQLite database."""
    with _open(folder) as connection:
        return Evidence(
            attempts=ledger.read(client_ledger),
            rows=[
                Row(str(UUID(name)), status, first_input(json.loads(body))[0])
                for name, status, body in connection.execute("SELECT id, status, input FROM predictions_prediction")
            ],
            records=[kept(json.loads(body)) for (body,) in connection.execute(_DOCUMENTS)],
            endings=_counted(connection, "SELECT id FROM chaos_history WHERE status <> 'processing'"),
            claims=_counted(connection, "SELECT id FROM chaos_history WHERE status = 'processing'"),
        )


_DOCUMENTS = "SELECT document FROM monitoring_recordrow"


def settled(folder: Path) -> bool:
    """Has every accepted row ended, and has everything its record? The online spool is judged by `collect`."""
    with _open(folder) as connection:
        query = "SELECT count(*) FROM predictions_prediction WHERE recorded_at IS NULL"
        return int(connection.execute(query).fetchone()[0]) == 0


def records(folder: Path) -> int:
    with _open(folder) as connection:
        return int(connection.execute("SELECT count(*) FROM monitoring_recordrow").fetchone()[0])


def _open(folder: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{folder / 'serving.sqlite3'}?mode=ro", uri=True, timeout=10)


def _counted(connection: sqlite3.Connection, query: str) -> Counter[str]:
    return Counter(str(UUID(name)) for (name,) in connection.execute(query))


def kept(document: dict[str, Any]) -> Kept:
    number, second = first_input(document["inputs"])
    return Kept(
        id=document["id"],
        project=document["project"],
        model=document["model"],
        version=document["version"],
        status=document["status"],
        number=number,
        second=second,
        outputs=document["outputs"],
    )


def first_input(inputs: Any) -> tuple[int | None, int | None]:
    """The two numbers of a call's only row, as both doors keep it; (None, None) when it is none of ours."""
    try:
        rows = inputs["instances"] if "instances" in inputs else inputs["input"]
        (row,) = rows
        return int(row[0]), int(row[1])
    except (KeyError, TypeError, ValueError, IndexError):
        return None, None
