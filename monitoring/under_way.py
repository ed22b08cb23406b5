"""Batches that the record store was given and has not been asked about yet.

A store that works elsewhere (`RecordStore.at_once`) is given the next batch while it works on the one before: else it
would rest while the recorder prepares, and the recorder while the store works.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, NamedTuple

from monitoring.records import Record
from monitoring.stores.base import Outcome, RecordStore

#: Records with the tokens of their source, in its order.
Batch = Sequence[tuple[Any, Record]]


class Given(NamedTuple):
    """A batch, and how to learn what became of it: in the order of the batch. Raises what `RecordStore.create` does."""

    batch: Batch
    outcomes: Callable[[], list[Outcome]]


class UnderWay:
    """At most `store.at_once` batches, settled in the order they were given. Used by one thread."""

    def __init__(self, store: RecordStore) -> None:
        self._store = store
        self._given: deque[Given] = deque()
        self._futures: list[Future[list[Outcome]]] = []
        self._threads: ThreadPoolExecutor | None = None

    def __len__(self) -> int:
        return len(self._given)

    @property
    def behind(self) -> Any:
        """The token behind which a source goes on while it has batches here; None when it has none."""
        return self._given[-1].batch[-1][0] if self._given else None

    def give(self, batch: Batch, *, at_once: bool) -> None:
        """Have a thread store it now; or else whoever asks for its outcomes stores it."""
        create = partial(self._store.create, [record for _, record in batch])
        if not at_once:
            self._given.append(Given(batch, create))
            return
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._store.at_once, "records")
        future = self._threads.submit(create)
        self._futures = [*(one for one in self._futures if not one.done()), future]
        self._given.append(Given(batch, future.result))

    def oldest(self) -> Given:
        return self._given.popleft()

    def forget(self) -> None:
        """Wait for the store's answers without reading them: nothing is handed out again that is still on its way."""
        wait(self._futures)
        self._given.clear()
        self._futures.clear()

    def close(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=False)
            self._threads = None
