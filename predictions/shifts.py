"""The threads of a server process work in shifts: few of them move at a time, however many there are.

Python runs one thread at a time, and threads that compete for that pass it on in the middle of a call: at 64
connections half of a call's time went there (`tests/bench/results/notes.md`). So a thread that has sent its answer
rests while enough others move. Threads that wait (for a slow client, a model's process, a prediction) do not move: as
soon as that shows, or they say so, others go on in their place. So there may be many threads for what waits, and few
meet.

I/O completion ports bound the running threads of a pool in the same way, with the kernel telling who waits; here a
thread looks every two milliseconds.
"""

from __future__ import annotations

import os
import threading
import time
from threading import get_ident

#: Threads that answer, or are ready to: with two cores or more, one runs its model where another has the interpreter.
MOVING = min(2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2)
#: Seconds a call may take before its thread counts as waiting.
LOOK_S = 0.002
#: Looks without a reason for any after which nobody looks until there is one.
CALM_LOOKS = 50

#: Begun before any look: of calls whose thread said that it waits.
_SAID = -1


class Shifts:
    """`begin` and `end` around each call, in the thread that makes it; `watch` in a thread of its own."""

    def __init__(self, moving: int = MOVING) -> None:
        self.moving = moving
        self._lock = threading.Lock()
        self._known: set[int] = set()
        self._awake = 0
        self._waiting = 0
        self._look = 0
        #: The look before which each thread's call began.
        self._calls: dict[int, int] = {}
        self._resting: list[threading.Lock] = []
        self.is_watched = True
        self._bell = threading.Semaphore(0)

    @property
    def resting(self) -> int:
        return len(self._resting)

    def begin(self) -> None:
        # The lock is only for what changes who rests. Written before `is_watched` is read, as `watch` does it the other
        # way round: so one of the two sees the other.
        thread = get_ident()
        self._calls[thread] = self._look
        if thread not in self._known:
            with self._lock:
                self._known.add(thread)
                self._awake += 1
        if not self.is_watched and self._is_worth_watching():
            self._call_watch()

    def wait(self) -> None:
        """This thread waits for another call: somebody goes on in its place at once. No call of a server: nothing."""
        thread = get_ident()
        with self._lock:
            if self._calls.get(thread, _SAID) == _SAID:
                return
            self._calls[thread] = _SAID
            self._waiting += 1
            if self._resting and self._awake < self.moving + self._waiting:
                self._wake()

    def end(self, *, may_rest: bool = True) -> None:
        """The answer has been sent, or the thread must not rest. Returns when it may take the next call."""
        if self._calls.pop(get_ident()) == _SAID:
            with self._lock:
                self._waiting -= 1
        if not may_rest or self._awake <= self.moving + self._waiting:
            return
        with self._lock:
            if self._awake <= self.moving + self._waiting:
                return
            self._awake -= 1
            called = threading.Lock()
            called.acquire()
            self._resting.append(called)
        called.acquire()

    def watch(self) -> None:
        """Look for threads that wait, for as long as the process lives."""
        calm = 0
        while True:
            time.sleep(LOOK_S)
            calm = 0 if self.look() else calm + 1
            if calm < CALM_LOOKS:
                continue
            self.is_watched = False
            if not self._is_worth_watching():
                self._bell.acquire()
            self.is_watched = True
            calm = 0

    def look(self) -> bool:
        """Let threads go on in place of those that wait; whether there was reason to look."""
        with self._lock:
            self._waiting = sum(begun < self._look for begun in list(self._calls.values()))
            self._look += 1
            wanted = self.moving + self._waiting - self._awake
            if self._waiting >= self._awake:
                # Everybody waits: twice as many, or a burst of slow calls would take long to get in.
                wanted = max(wanted, self._waiting)
            for _ in range(min(wanted, len(self._resting))):
                self._wake()
            return self._is_worth_watching()

    def _call_watch(self) -> None:
        with self._lock:
            if self.is_watched:
                return
            self.is_watched = True
        self._bell.release()

    def _wake(self) -> None:
        self._awake += 1
        # The last to rest has the warmest stack.
        self._resting.pop().release()

    def _is_worth_watching(self) -> bool:
        """Somebody rests while no thread that is awake is ready for another call, or waits for longer already."""
        return bool(self._resting) and (self._waiting > 0 or len(self._calls) >= self._awake)


#: Of this process, where it is a server's.
SHIFTS = Shifts()
