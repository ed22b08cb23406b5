"""Where open rows begin: every row with a lesser id has ended, and at most lacks its record.

While the record store is away such rows gather by the million, and whoever looks for open ones would walk over all of
them. Ids are minted in the order of time and ended rows do not open again, so the walk begins at the oldest open row.
"""

# ruff: noqa: S608 - every fragment that is put together here is a constant of this room

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

from monitoring.ids import first_of
from predictions.queued.acceptance import TABLE
from predictions.queued.database import as_uuid, dialect, fetch

#: A row's id is older than its commit: by a request's own time, and by how far clocks of servers may be apart.
MARGIN_S = 60.0
#: The same for nearly every row.
NEAR_S = 1.0
#: Seconds between two looks from the last horizon on, and between two that trust no clock and begin at the oldest row.
LOOK_EVERY_S = 1.0
WHOLE_EVERY_S = 300.0

#: Rows that one statement walks over: each ends well within the time a statement has.
STEP = 50_000

_STEP = f"""
    WITH step AS MATERIALIZED (
        SELECT id, status FROM {TABLE} WHERE recorded_at IS NULL AND id >= %s ORDER BY id LIMIT {STEP})
    SELECT (SELECT id FROM step WHERE status IN ('starting', 'processing') ORDER BY id LIMIT 1),
        (SELECT id FROM step ORDER BY id LIMIT 1 OFFSET {STEP - 1})"""
_NOTHING = UUID(int=0)


class Horizon:
    """The id from which on rows may be open; one per process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._least = self._near = _NOTHING
        self._looked_at = self._looked_whole_at = float("-inf")

    def least(self) -> UUID:
        """No open row has a lesser id. Raises what the database raises."""
        now = self._clock()
        if now - self._looked_at < LOOK_EVERY_S:
            return self._least
        is_whole = now - self._looked_whole_at >= WHOLE_EVERY_S
        oldest = _oldest_open(_NOTHING if is_whole else self._least)
        self._least, self._near = _before(oldest, MARGIN_S), _before(oldest, NEAR_S)
        self._looked_at = now
        if is_whole:
            self._looked_whole_at = now
        return self._least

    def near(self) -> UUID:
        """The same for counts that are made often: they may miss for `LOOK_EVERY_S` what was committed late."""
        self.least()
        return self._near

    def forget(self) -> None:
        """Look at all rows the next time."""
        self._looked_at = self._looked_whole_at = float("-inf")


def _before(oldest: UUID | None, seconds: float) -> UUID:
    """The least id that a row may have which is committed from now on, or the oldest open one's."""
    latest = first_of(datetime.now(UTC) - timedelta(seconds=seconds))
    return min(latest, oldest) if oldest is not None else latest


def _oldest_open(start: UUID) -> UUID | None:
    """The oldest open row from this id on."""
    while True:
        ((found, last),) = fetch(_STEP, [dialect().id(start)])
        if found is not None or last is None:
            return as_uuid(found) if found is not None else None
        start = as_uuid(last)


HORIZON = Horizon()
