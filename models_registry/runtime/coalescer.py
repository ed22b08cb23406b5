"""While one call runs, the next callers gather; when it ends, they go together.

No timer and no thread of its own: an idle coalescer runs a caller's item at once in the caller's thread. When a run
ends, its thread hands the lead to the first one that waits, who runs all that have gathered. So nobody works for
others longer than one run, and a caller that gave up is skipped.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from models_registry import errors

logger = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")


class _Waiting(Generic[T, R]):
    """One caller's item. `wake` is a lock held until there is something for the caller to do. A caller that went on has
    left `then`, which is told what came of it, at `until` (monotonic) at the latest."""

    __slots__ = ("done", "gave_up", "item", "leads", "outcome", "size", "then", "until", "wake")

    def __init__(
        self, item: T, size: int, then: Callable[[R | BaseException], None] | None = None, until: float = 0.0
    ) -> None:
        self.item = item
        self.then = then
        self.until = until
        self.size = size
        self.outcome: R | BaseException | None = None
        self.done = False
        self.leads = False
        self.gave_up = False
        self.wake = threading.Lock()
        self.wake.acquire()


class Coalescer(Generic[T, R]):
    """Gathers the items of many threads into calls of `work`, one call at a time.

    `work` takes a list of items and returns as many outcomes in the same order; an outcome that is an exception is
    raised in its caller alone. If `work` itself raises, every caller of that run sees it. A run takes at most
    `max_items` items and `max_bytes` bytes (one item always goes), and at most `max_waiting` callers may wait;
    `waits` is called in the thread of each that does, before it does.
    """

    def __init__(
        self,
        work: Callable[[list[T]], Sequence[R | BaseException]],
        *,
        max_items: int,
        max_bytes: int,
        name: str,
        max_waiting: int = 10_000,
        waits: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self._work = work
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._max_waiting = max_waiting
        self._waits = waits
        self._lock = threading.Lock()
        self._queue: deque[_Waiting[T, R]] = deque()
        self._running = False

    def submit(self, item: T, size: int = 0, timeout: float = 30.0) -> R:
        """Return the outcome for `item`; `size` is its bytes, `timeout` the seconds this caller waits for its turn.

        Raises `TimeoutError` when it gave up (the item may still be run if its run has begun), `Unavailable` when
        too many wait already, and whatever `work` raised or returned for the item.
        """
        waiting: _Waiting[T, R] = _Waiting(item, size)
        if not self._lead_or_queue(waiting) and not self._wait(waiting, timeout):
            raise TimeoutError(f"{self.name}: no turn within {timeout:g} s")
        if waiting.leads:
            self._run(waiting)
        if isinstance(waiting.outcome, BaseException):
            raise waiting.outcome
        return waiting.outcome  # type: ignore[return-value]

    def waiting(self) -> int:
        """How many callers wait for their turn."""
        return len(self._queue)

    def _lead_or_queue(self, waiting: _Waiting[T, R]) -> bool:
        with self._lock:
            if not self._running:
                self._running = waiting.leads = True
                return True
            if len(self._queue) >= self._max_waiting:
                raise errors.Unavailable(f"{self.name}: too many callers wait", retry_after=1)
            self._queue.append(waiting)
            return False

    def _wait(self, waiting: _Waiting[T, R], timeout: float) -> bool:
        self._waits()
        if waiting.wake.acquire(timeout=max(0.0, timeout)):
            return True
        with self._lock:
            # The answer or the lead may have come between the time-out and this lock: then it is not given up.
            waiting.gave_up = not (waiting.done or waiting.leads)
            return not waiting.gave_up

    def _run(self, first: _Waiting[T, R]) -> None:
        batch = self._gather(first)
        outcomes = self._outcomes(batch)
        with self._lock:
            for one, outcome in zip(batch, outcomes, strict=True):
                one.outcome, one.done = outcome, True
            self._hand_over()
        for one in batch[1:]:
            one.wake.release()

    def _outcomes(self, batch: list[_Waiting[T, R]]) -> Sequence[R | BaseException]:
        try:
            outcomes = self._work([one.item for one in batch])
            if len(outcomes) != len(batch):
                raise RuntimeError(f"{self.name}: {len(batch)} items went in, {len(outcomes)} outcomes came out")
        except BaseException as error:
            return [error] * len(batch)
        return outcomes

    def _gather(self, first: _Waiting[T, R]) -> list[_Waiting[T, R]]:
        batch, size = [first], first.size
        with self._lock:
            while self._queue and len(batch) < self._max_items:
                following = self._queue[0]
                if not following.gave_up and size + following.size > self._max_bytes:
                    break
                self._queue.popleft()
                if not following.gave_up:
                    batch.append(following)
                    size += following.size
        return batch

    def _hand_over(self) -> None:
        """Called with the lock held: the first caller still waiting leads the next run."""
        while self._queue:
            following = self._queue.popleft()
            if not following.gave_up:
                following.leads = True
                following.wake.release()
                return
        self._running = False


class ThreadedCoalescer(Coalescer[T, R]):
    """A coalescer whose work a thread of its own does, so that no caller waits longer than it said: for work that may
    hang. While it hangs, callers gather and give up, and are skipped afterwards. Callers need not wait at all (`hand`).
    """

    def submit(self, item: T, size: int = 0, timeout: float = 30.0) -> R:
        waiting: _Waiting[T, R] = _Waiting(item, size)
        self._enqueue(waiting)
        if not self._wait(waiting, timeout):
            raise TimeoutError(f"{self.name}: no answer within {timeout:g} s")
        if isinstance(waiting.outcome, BaseException):
            raise waiting.outcome
        return waiting.outcome  # type: ignore[return-value]

    def hand(self, item: T, then: Callable[[R | BaseException], None], *, size: int = 0, timeout: float = 30.0) -> None:
        """Return at once; `then` is told the outcome or the exception, once, in the thread that works, where it must
        neither wait nor raise. `TimeoutError` comes from `give_up_late`, which somebody has to call every now and then.

        Raises `Unavailable` when too many wait already; `then` is told nothing then.
        """
        self._enqueue(_Waiting(item, size, then, time.monotonic() + timeout))

    def give_up_late(self) -> None:
        """Tell those that were handed over and have waited for too long."""
        now = time.monotonic()
        with self._lock:
            given = [*self._batch, *self._queue]
            late = [one for one in given if one.then and one.until <= now and not (one.done or one.gave_up)]
            for one in late:
                one.gave_up = True
        for one in late:
            self._tell(one, TimeoutError(f"{self.name}: no answer in time"))

    def _enqueue(self, waiting: _Waiting[T, R]) -> None:
        with self._lock:
            if len(self._queue) >= self._max_waiting:
                raise errors.Unavailable(f"{self.name}: too many callers wait", retry_after=1)
            self._queue.append(waiting)
            is_first, self._running = not self._running, True
        if is_first:
            self._begin()

    def _begin(self) -> None:
        """Wake the thread; it is made by the first caller of a process."""
        if self._owner != os.getpid():
            self._owner, self._some = os.getpid(), threading.Semaphore(0)
            threading.Thread(target=self._work_off, args=(self._some,), name=self.name, daemon=True).start()
        self._some.release()

    _batch: Sequence[_Waiting[T, R]] = ()
    _owner = 0
    _some = threading.Semaphore(0)

    def _work_off(self, some: threading.Semaphore) -> None:
        while True:
            some.acquire()
            while (first := self._next()) is not None:
                self._run_for(self._gather(first))

    def _next(self) -> _Waiting[T, R] | None:
        with self._lock:
            while self._queue:
                following = self._queue.popleft()
                if not following.gave_up:
                    return following
            self._running = False
            return None

    def _run_for(self, batch: list[_Waiting[T, R]]) -> None:
        self._batch = batch
        outcomes = self._outcomes(batch)
        with self._lock:
            for one, outcome in zip(batch, outcomes, strict=True):
                one.outcome, one.done = outcome, True
            self._batch = ()
        for one, outcome in zip(batch, outcomes, strict=True):
            if one.then is None:
                one.wake.release()
            elif not one.gave_up:
                self._tell(one, outcome)

    def _tell(self, waiting: _Waiting[T, R], outcome: R | BaseException) -> None:
        try:
            if waiting.then is not None:
                waiting.then(outcome)
        except Exception:
            logger.exception("%s: an outcome was told in vain", self.name, extra={"action": "background_failed"})
