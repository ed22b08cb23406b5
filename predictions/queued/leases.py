"""The leases this process holds, renewed together by one UPDATE until each one's time is over."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from monitoring.background import Ticker, fresh_connection
from predictions.queued import ledger


class Leases:
    """What this process runs. A claim is renewed up to `until`, at most the model's hard limit ahead."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[UUID, tuple[list[UUID], float]] = {}

    @contextmanager
    def held(self, fence: UUID, ids: Sequence[UUID], *, seconds: float) -> Iterator[None]:
        """Keep the rows of one claim for at most so many seconds."""
        with self._lock:
            self._held[fence] = (list(ids), time.monotonic() + seconds)
        try:
            yield
        finally:
            with self._lock:
                self._held.pop(fence, None)

    def renew(self, lease_s: float) -> int:
        """Extend every lease whose time is not over; returns how many rows are still ours."""
        now = time.monotonic()
        with self._lock:
            live = [(fence, ids) for fence, (ids, until) in self._held.items() if until > now]
        return ledger.renew(
            [identifier for _, ids in live for identifier in ids], [fence for fence, _ in live], lease_s=lease_s
        )

    def release_all(self) -> int:
        """Shutdown: what is still running here goes back to waiting, and its late answer is refused."""
        with self._lock:
            held = list(self._held.items())
        return sum(len(ledger.release(fence, ids)) for fence, (ids, _) in held)


LEASES = Leases()


class LeaseKeeper(Ticker):
    """Renews what this process holds at a third of the lease; when it stops, what still runs goes back to waiting."""

    def __init__(self, lease_s: float) -> None:
        super().__init__("leases", lease_s / 3, lambda: LEASES.renew(lease_s))

    def stop(self, timeout: float) -> None:
        super().stop(timeout)
        with fresh_connection():
            LEASES.release_all()
