"""How fast predictions end is measured while they do, and decides how long a queue may be."""

from __future__ import annotations

from uuid import UUID

from predictions.queued import ledger
from predictions.queued.admission import SAMPLE_EVERY_S, Gate
from predictions.queued.ledger import Settled
from tests.integration.queued import rows


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def end(identifiers: list[UUID]) -> None:
    claimed = rows.claim(identifiers)
    ledger.settle(claimed[0].fence, [Settled(row.id, output=b"{}") for row in claimed])


def test_while_workers_are_away_the_queue_is_as_fast_as_it_was_and_slower_by_what_they_missed():
    clock = Clock()
    gate = Gate(clock)
    accepted = rows.accept(120)
    gate.sample()
    end(accepted[:20])
    clock.now += 1
    gate.sample()
    assert gate.eta_s(40, 0.0) == 2.0
    for _ in range(80):
        clock.now += SAMPLE_EVERY_S
        gate.sample()
    assert gate.eta_s(40, 0.0) == 2.0, "nothing ended for 20 s: that is no pace"
    end(accepted[20:40])
    clock.now += 1
    gate.sample()
    # A fifth of the newest pace, 20 in 21 s, and four of the one before.
    assert gate.eta_s(40, 0.0) == round(40 / (0.8 * 20 + 0.2 * 20 / 21), 3)
