"""The checker finds each kind of broken promise, and nothing where all was kept."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos import ledger, oracle
from tests.chaos.checker import BOLD, Evidence, Kept, Row, judge
from tests.chaos.ledger import Attempted, Call, ClientLedger, Outcome

ONLINE = Call(7, 5, "online", "demo", "left")
QUEUED = Call(8, 6, "queued", "other", "right", wanted=2, key="k8")


def outputs(call: Call, version: int) -> dict[str, list[float]]:
    answer = oracle.expected(call.project, call.model, version, call.row)
    return {"value": [answer.value], "version": [answer.code]}


def record(call: Call, name: str, version: int) -> Kept:
    return Kept(name, call.project, call.model, version, "succeeded", call.number, call.second, outputs(call, version))


def kept_promises() -> Evidence:
    """One answered call of each door."""
    return Evidence(
        attempts=[
            Attempted(ONLINE, (Outcome("acknowledged", 200, "a", 1, outputs(ONLINE, 1)),)),
            Attempted(QUEUED, (Outcome("unknown"), Outcome("acknowledged", 201, "b", 2))),
        ],
        rows=[Row("b", "succeeded", 8)],
        records=[record(ONLINE, "a", 1), record(QUEUED, "b", 2)],
        endings=Counter({"b": 1}),
        claims=Counter({"b": 2}),
    )


def test_kept_promises_leave_the_bold_six_empty() -> None:
    verdict = judge(kept_promises())
    assert verdict.clean
    assert verdict.counts == {
        "attempted": 2,
        "acknowledged": 2,
        "ok": 1,
        "refused": 0,
        "unknown": 0,
        "recovered": 0,
        "recorded": 2,
        "executions": 2,
        **dict.fromkeys(BOLD, 0),
    }


def broken(kind: str) -> Evidence:
    kept = kept_promises()
    first, second = kept.records
    other = Attempted(ONLINE, (Outcome("acknowledged", 200, "a", 1, outputs(ONLINE, 2)),))
    return {
        "an acknowledged online answer without a record": replace(kept, records=[second]),
        "an accepted row without a record": replace(
            kept, attempts=[kept.attempts[0], Attempted(QUEUED, (Outcome("unknown"),))], records=[first]
        ),
        "two records of one call": replace(kept, records=[*kept.records, replace(first, id="c")]),
        "two ids for one key": replace(
            kept,
            attempts=[
                kept.attempts[0],
                Attempted(QUEUED, (*kept.attempts[1].outcomes, Outcome("acknowledged", 201, "b2"))),
            ],
        ),
        "a record nobody asked for": replace(kept, records=[*kept.records, replace(first, id="x", number=99)]),
        "a record with another input": replace(kept, records=[replace(first, second=4), second]),
        "an answer of another version than it names": replace(kept, attempts=[other, kept.attempts[1]]),
        "a record with another version's answer": replace(
            kept, records=[first, replace(second, outputs=outputs(QUEUED, 1))]
        ),
        "a record of another version than asked for": replace(kept, records=[first, record(QUEUED, "b", 1)]),
        "a record of another project": replace(kept, records=[first, replace(second, project="demo")]),
        "a failed prediction that should have succeeded": replace(
            kept, records=[first, replace(second, status="failed")]
        ),
        "a row that ended twice": replace(kept, endings=Counter({"b": 2})),
        "a row that never ended": replace(kept, rows=[Row("b", "processing", 8)]),
    }[kind]


@pytest.mark.parametrize(
    ("kind", "finding"),
    [
        ("an acknowledged online answer without a record", "lost"),
        ("an accepted row without a record", "lost"),
        ("two records of one call", "duplicated"),
        ("two ids for one key", "duplicated"),
        ("a record nobody asked for", "unexpected"),
        ("a record with another input", "unexpected"),
        ("an answer of another version than it names", "wrong"),
        ("a record with another version's answer", "wrong"),
        ("a record of another version than asked for", "wrong"),
        ("a record of another project", "wrong"),
        ("a failed prediction that should have succeeded", "wrong"),
        ("a row that ended twice", "double_terminal"),
        ("a row that never ended", "non_terminal"),
    ],
)
def test_a_broken_promise_is_found(kind: str, finding: str) -> None:
    verdict = judge(broken(kind))
    assert not verdict.clean
    assert verdict.findings[finding]


def test_what_was_unknown_and_is_recorded_counts_as_recovered() -> None:
    kept = kept_promises()
    verdict = judge(replace(kept, attempts=[Attempted(ONLINE, (Outcome("unknown"),)), kept.attempts[1]]))
    assert verdict.clean
    assert (verdict.counts["unknown"], verdict.counts["recovered"]) == (1, 1)


def test_the_ledger_gives_back_what_was_written(tmp_path: Path) -> None:
    book = ClientLedger(tmp_path / "ledger.jsonl")
    book.sent(QUEUED)
    book.outcome(QUEUED, Outcome("unknown", detail="reset"))
    book.sent(QUEUED)
    book.outcome(QUEUED, Outcome("acknowledged", 201, "b", 2))
    book.sent(ONLINE)
    book.close()
    queued, online = ledger.read(tmp_path / "ledger.jsonl")
    assert queued.call == QUEUED
    assert [item.kind for item in queued.outcomes] == ["unknown", "acknowledged"]
    assert not queued.unknown
    assert online.unknown
