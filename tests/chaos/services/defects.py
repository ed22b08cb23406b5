"""The seeded defects: what each breaks, which fault brings it out, which finding turns the checker red.

Where a guard hides a defect the seed turns the guard off too, and `control` is the same run with nothing broken: same
faults, same widened windows, green.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.chaos import defective_server

#: Seconds a batch is held before it is claimed, and before it is settled, so that faults meet it.
BEFORE_CLAIM_S, BEFORE_SETTLE_S = 0.1, 0.3
#: A file in the data folder: since it is there, it is tomorrow.
MIDNIGHT = "midnight"


@dataclass(frozen=True, slots=True)
class Defect:
    """`install` breaks the promise in a process; `fault` names what the run does; `red_by` the finding."""

    install: Callable[[], None]
    fault: str = ""
    red_by: str = ""


def slow_workers() -> None:
    """Nothing broken: batches take a little longer, so that a kill or a freeze finds one under way."""
    from predictions.queued import execution, ledger

    run, settle = execution.run, ledger.settle

    def run_later(ids: Sequence[Any]) -> None:
        time.sleep(BEFORE_CLAIM_S)
        run(ids)

    def settle_later(fence: Any, endings: Sequence[Any]) -> Any:
        time.sleep(BEFORE_SETTLE_S)
        return settle(fence, endings)

    execution.run = run_later
    ledger.settle = settle_later


def early_ack() -> None:
    """D1: a message is acknowledged before its work is done. The guards that hide it are off: leases that expire are
    not taken back, and nobody nudges again."""
    from predictions.queued import sweeps, tasks

    slow_workers()
    tasks.run.acks_late = False
    sweeps.take_back_expired = lambda **_: ([], 0)
    sweeps.move_due = lambda: []


def index_from_now() -> None:
    """D3: a record's index is named by the clock, not by the id."""
    from django.conf import settings

    from monitoring.stores.elastic import Layout

    def index_of_now(self: Layout, _: Any) -> str:
        moved = timedelta(days=1) if (settings.DATA_DIR / MIDNIGHT).exists() else timedelta()
        return self.index_on((datetime.now(UTC) + moved).date())

    Layout.index_of = index_of_now  # type: ignore[method-assign]


def marked_before_read() -> None:
    """D4: a source is told to forget a batch before the store's outcome for its items is read."""
    from monitoring.recorder import Recorder

    settle = Recorder._settle

    def mark_then_settle(self: Recorder, source: Any, given: Any) -> tuple[int, bool]:
        source.mark([token for token, _ in given.batch])

        class Deaf:
            name = source.name

            @staticmethod
            def mark(_: Any) -> None:
                """They are marked already."""

        return settle(self, Deaf(), given)

    Recorder._settle = mark_then_settle  # type: ignore[method-assign]


def settle_without_fence() -> None:
    """D6: whoever is done writes, whether or not the row is still its own."""
    from predictions.queued import ledger

    slow_workers()
    fetch, fence = ledger.fetch, f" AND {ledger.TABLE}.status = 'processing' AND fence = %s"
    assert fence in ledger._SETTLE_ON_POSTGRESQL

    def fetch_unfenced(sql: str, params: Any) -> Any:
        return fetch(sql.replace(fence, " AND %s::uuid IS NOT NULL"), params)

    ledger.fetch = fetch_unfenced


def no_second_nudge() -> None:
    """D10: a nudge that was lost is never replaced."""
    from predictions.queued import sweeps

    sweeps.move_due = lambda: []


DEFECTS = {
    "control": Defect(slow_workers),
    "D1": Defect(early_ack, "workers killed", "non_terminal"),
    "D3": Defect(index_from_now, "answers lost over midnight", "duplicated"),
    "D4": Defect(marked_before_read, "record store away", "lost"),
    "D5": Defect(defective_server.publish_before_commit, "", "non_terminal"),
    "D6": Defect(settle_without_fence, "worker frozen", "double_terminal"),
    "D7": Defect(defective_server.version_resolved_in_the_worker, "", "wrong"),
    "D10": Defect(no_second_nudge, "queue purged", "non_terminal"),
}
