"""One campaign on the services mode: load, faults one after the other, drain, check."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import psycopg
from elastic_transport import TransportError
from elasticsearch import ApiError

from tests.chaos import checker, nemesis
from tests.chaos.campaign import DRAIN_LIMIT_S, judge_missing
from tests.chaos.checker import Evidence, Verdict
from tests.chaos.ledger import ClientLedger
from tests.chaos.services import evidence, faults
from tests.chaos.services.arena import Place
from tests.chaos.services.faults import Fault, Struck
from tests.chaos.services.scene import Scene
from tests.chaos.services.timed import TimedLoad, Timing

#: Seconds after a fault within which a queued prediction must be accepted and finished again.
BACK_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Campaign:
    """How hard: at least `calls` in all, `rate` calls per second on both doors, faults in the order given."""

    calls: int
    faults: Sequence[Fault] = ()
    rate: float = 50.0
    clients: int = 24
    seed: int = 1
    quiet_s: tuple[float, float] = (2.0, 4.0)
    retry_s: float = 40.0
    drain_limit_s: float = DRAIN_LIMIT_S


@dataclass(frozen=True, slots=True)
class Result:
    """What came out. `back_s` are seconds from each fault's end to the next finished queued prediction."""

    campaign: Campaign
    verdict: Verdict
    struck: list[Struck]
    back_s: list[float]
    timings: list[Timing] = field(repr=False)
    drain_s: float = 0.0
    moved: int = 0
    load_s: float = 0.0


def run(scene: Scene, campaign: Campaign, *, meanwhile: Callable[[], None] | None = None) -> Result:
    """`scene` runs already; it runs on when this returns. `meanwhile` happens one second into the load."""
    path = scene.place.data / "client.jsonl"
    book = ClientLedger(path)
    load = TimedLoad(
        scene.port,
        scene.place.stage,
        book,
        seed=campaign.seed,
        rate=campaign.rate,
        retry_s=campaign.retry_s,
        threads=campaign.clients,
    )
    mover = nemesis.AliasMover(scene.port, scene.place.stage)
    begun = time.monotonic()
    load.start()
    mover.start()
    struck: list[Struck] = []
    back: list[float] = []
    try:
        chance = random.Random(campaign.seed)
        for fault in campaign.faults:
            time.sleep(chance.uniform(*campaign.quiet_s))
            struck.append(faults.strike(scene, fault))
            back.append(_await_finished(load, struck[-1].ended))
        if meanwhile is not None:
            time.sleep(1.0)
            meanwhile()
        while len(load.timings) < campaign.calls:
            time.sleep(0.1)
    finally:
        load.stop()
        mover.stop()
        book.close()
    taken = time.monotonic() - begun
    found, drain_s = drain(scene.place, campaign.drain_limit_s)
    return Result(campaign, checker.judge(found), struck, back, load.timings, drain_s, mover.moved, taken)


def drain(place: Place, limit: float) -> tuple[Evidence, float]:
    """Wait until the checker finds nothing missing any more, or `limit` seconds; return what there is then."""
    begun = time.monotonic()
    path = place.data / "client.jsonl"
    while True:
        try:
            is_settled = evidence.settled(place)
            taken = time.monotonic() - begun
            if is_settled or taken > limit:
                found = evidence.collect(place, path)
                if taken > limit or not judge_missing(found):
                    return found, taken
        except (psycopg.Error, ApiError, TransportError):
            if time.monotonic() - begun > limit + 30:
                raise
        time.sleep(0.5)


def _await_finished(load: TimedLoad, moment: float) -> float:
    end = time.monotonic() + BACK_LIMIT_S
    while (found := load.finished_after(moment)) is None:
        if time.monotonic() > end:
            return float("inf")
        time.sleep(0.1)
    return found
