"""One campaign: stage, start, load, strikes, drain, check."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.chaos import checker, nemesis, stage
from tests.chaos.checker import Evidence, Verdict
from tests.chaos.ledger import ClientLedger
from tests.chaos.load import Load
from tests.running import Server

DRAIN_LIMIT_S = 120.0


@dataclass(frozen=True, slots=True)
class Campaign:
    """How hard: `rounds` kills of each kind, or `calls` without any kill; `rate` is calls per second on both doors."""

    rounds: int = 1
    calls: int | None = None
    rate: float = 80.0
    seed: int = 1
    drain_limit_s: float = DRAIN_LIMIT_S
    hard_limit_s: float = 10.0
    retry_s: float = 20.0


@dataclass(frozen=True, slots=True)
class Result:
    """What came out: the verdict, the kills, the seconds the drain took, the alias moves under load."""

    campaign: Campaign
    verdict: Verdict
    kills: list[nemesis.Kill]
    drain_s: float
    moved: int


def run(
    folder: Path,
    campaign: Campaign,
    *,
    command: list[str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Result:
    known = stage.build(folder, hard_limit_s=campaign.hard_limit_s)
    server = Server(folder, command=command, environment=environment)
    server.start()
    try:
        book = ClientLedger(folder / "client.jsonl")
        load = Load(server.port, known, book, seed=campaign.seed, rate=campaign.rate, retry_s=campaign.retry_s)
        mover = nemesis.AliasMover(server.port, known)
        load.start(limit=campaign.calls)
        mover.start()
        strikes = nemesis.plan(campaign.rounds, campaign.seed) if campaign.calls is None else []
        kills = [nemesis.strike(server, kind, after_s) for kind, after_s in strikes]
        if campaign.calls is None:
            load.stop()
        load.join()
        mover.stop()
        book.close()
        evidence, drain_s = drain(folder, campaign.drain_limit_s)
    finally:
        if server.running():
            server.stop()
    return Result(campaign, checker.judge(evidence), kills, drain_s, mover.moved)


def drain(folder: Path, limit: float) -> tuple[Evidence, float]:
    """Wait until the checker finds nothing missing any more, or `limit` seconds; return what there is then."""
    begun = time.monotonic()
    while True:
        evidence = checker.collect(folder, folder / "client.jsonl")
        missing = judge_missing(evidence) or not checker.settled(folder)
        taken = time.monotonic() - begun
        if not missing or taken > limit:
            return evidence, taken
        time.sleep(0.5)


def judge_missing(evidence: Evidence) -> bool:
    findings = checker.judge(evidence).findings
    return bool(findings["lost"] or findings["non_terminal"])
