"""Faults of every server and process of the services mode, under load: nothing accepted is lost, clients are answered.

`CHAOS_ROUNDS` ≥ 10 is the full form (`make chaos`).
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.chaos import report as reports
from tests.chaos.services import report
from tests.chaos.services.arena import Arena
from tests.chaos.services.campaign import Campaign, Result, run
from tests.chaos.services.faults import ACCEPTS, REFUSES, SURVIVES, Fault
from tests.chaos.services.scene import Scene

FULL = int(os.environ.get("CHAOS_ROUNDS", "1")) >= 10
SEED = int(os.environ.get("CHAOS_SEED", "20261122"))
#: Seconds any POST may take: what `Prefer: wait=5` asked for, the half second of the promise, and one for two cores
#: that the load, five servers and seven processes share.
DEADLINE_S = 6.5
SHORT_FAULTS = (
    Fault("worker-standard", "killed"),
    Fault("web process", "killed"),
    Fault("RabbitMQ", "killed"),
    Fault("RabbitMQ", "frozen", 5),
    Fault("Redis", "frozen", 5),
    Fault("Elasticsearch", "down", 5),
    Fault("PostgreSQL", "restarted", 6),
)
FULL_FAULTS = (
    Fault("worker-standard", "killed"),
    Fault("web process", "killed"),
    Fault("RabbitMQ", "killed", 5),
    Fault("web", "killed"),
    Fault("RabbitMQ", "frozen", 20),
    Fault("keeper", "killed"),
    Fault("Redis", "frozen", 15),
    Fault("worker-standard", "killed"),
    Fault("Redis", "down", 10),
    Fault("Elasticsearch", "down", 30),
    Fault("web process", "killed"),
    Fault("Elasticsearch", "frozen", 15),
    Fault("worker-standard", "frozen", 10),
    Fault("PostgreSQL", "restarted", 8),
    Fault("RabbitMQ", "killed"),
    Fault("PostgreSQL", "frozen", 10),
    Fault("worker-standard", "killed"),
    Fault("PostgreSQL", "killed", 6),
)
CAMPAIGN = (
    Campaign(calls=6_000, faults=FULL_FAULTS, seed=SEED, rate=30.0)
    if FULL
    else Campaign(calls=1_200, faults=SHORT_FAULTS, seed=SEED, rate=25.0, clients=16, quiet_s=(1.0, 2.0))
)


@pytest.mark.chaos
@pytest.mark.timeout(1500)
def test_nothing_accepted_is_lost_whatever_fails(arena: Arena, tmp_path: Path) -> None:
    scene = Scene(arena, arena.place("faults"))
    scene.start()
    try:
        result = run(scene, CAMPAIGN)
    finally:
        scene.stop()
    text = report.markdown(result)
    reports.write(reports.KEPT if FULL else tmp_path, "services", report.document(result), text)
    print(text)
    assert result.verdict.clean, text
    assert result.verdict.counts["attempted"] >= (5_000 if FULL else 1_000)
    assert result.moved
    assert broken_manners(result) == [], text


def broken_manners(result: Result) -> list[str]:
    """Where POST did not do what it owes while a fault held."""
    found = []
    for struck, back in zip(result.struck, result.back_s, strict=True):
        name, owes = struck.fault.name, struck.fault.owes
        queued = report.during(result, struck, "queued")
        if owes == ACCEPTS and queued.accepted < queued.calls:
            found.append(f"{name}: {queued.calls - queued.accepted} of {queued.calls} were not accepted")
        if owes == REFUSES and queued.unknown:
            found.append(f"{name}: {queued.unknown} got neither an acceptance nor a 503")
        if owes == REFUSES and struck.fault.hold_s and not queued.refused:
            found.append(f"{name}: nothing was refused")
        if owes != SURVIVES and queued.calls and queued.slowest_s > DEADLINE_S:
            found.append(f"{name}: the slowest of {queued.calls} took {queued.slowest_s:.1f} s")
        if back == float("inf"):
            found.append(f"{name}: no queued prediction finished afterwards")
    return found
