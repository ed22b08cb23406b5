"""The horizon: no open row lies before it, whatever the clocks of servers say, and it is found in steps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from monitoring.ids import first_of
from predictions.models import Prediction
from predictions.queued import horizon, ledger, sweeps
from predictions.queued.horizon import Horizon
from predictions.queued.ledger import Settled
from tests.integration.queued import rows


def an_id(seconds_ago: float, number: int = 0) -> UUID:
    return UUID(int=first_of(datetime.now(UTC) - timedelta(seconds=seconds_ago)).int + number)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def end(identifier: UUID) -> None:
    [claimed] = rows.claim([identifier])
    ledger.settle(claimed.fence, [Settled(identifier, output=b"{}")])


def test_it_lies_at_the_oldest_open_row_and_moves_on_when_that_ends(monkeypatch):
    monkeypatch.setattr(horizon, "_STEP", horizon._STEP.replace("50000", "2").replace("49999", "1"))
    ids = [an_id(3600, number) for number in range(5)]
    for identifier in ids:
        rows.accept(id=identifier)
    end(ids[0])
    end(ids[1])
    clock = Clock()
    found = Horizon(clock)
    assert found.least() == ids[2]
    for identifier in ids[2:]:
        end(identifier)
    assert found.least() == ids[2]  # not looked at again at once
    clock.now += horizon.LOOK_EVERY_S
    assert an_id(horizon.MARGIN_S + 5) < found.least() < an_id(horizon.MARGIN_S - 5)


def test_counts_look_at_the_last_second_and_at_what_is_open():
    clock = Clock()
    found = Horizon(clock)
    assert an_id(horizon.NEAR_S + 1) < found.near() <= an_id(horizon.NEAR_S)
    late = an_id(horizon.MARGIN_S / 2)
    rows.accept(id=late)
    clock.now += horizon.LOOK_EVERY_S
    assert found.near() == late
    end(late)
    clock.now += horizon.LOOK_EVERY_S
    assert found.near() > late


def test_a_row_of_a_server_whose_clock_is_slow_is_found_by_the_next_whole_look():
    clock = Clock()
    found = Horizon(clock)
    found.least()
    rows.accept(id=an_id(3600))
    clock.now += horizon.LOOK_EVERY_S
    assert found.least() > an_id(3600)
    clock.now += horizon.WHOLE_EVERY_S
    assert found.least() <= an_id(3600)


def test_the_keeper_finds_what_is_overdue_beyond_many_ended_rows():
    old, overdue = an_id(3600), an_id(3500)
    rows.accept(id=old)
    end(old)
    rows.accept(id=overdue, deadline_s=-1.0)
    horizon.HORIZON.forget()
    assert sweeps.end_overdue() == [overdue]
    assert Prediction.objects.get(id=old).status == "succeeded"
