"""The spool: where online calls wait on disk for the record store, and what survives kill -9.

`Spool` is written by one process, a segment of its own per start; `Reader` (the keeper's, one per folder) hands out
the calls of every segment in order, remembers what was stored, and removes segments that are finished.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from monitoring import segments
from monitoring.segments import Segment
from monitoring.spool_reader import Depth, Reader, Token, checkpoint, depth, disk_octets, segment_paths

__all__ = ["Depth", "Reader", "Spool", "SpoolFull", "Token", "depth"]

#: While the spool is full, the folder is looked at again after this many seconds at the earliest.
_LOOK_AGAIN_S = 0.05
_MOST_RETRY_S = 30


class SpoolFull(Exception):
    """The cap is reached or the disk is full: the call cannot be recorded, so it must not be answered."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"the spool is full; try again in {retry_after} s")
        self.retry_after = retry_after


class Spool:
    """Where this process writes. `append` takes one short lock and makes no system call, except when it must rotate
    before the next segment was prepared, off the path, by `prepare`."""

    def __init__(self, directory: Path, *, limit: int = 2 * 2**30, segment_bytes: int = 8 * 2**20) -> None:
        """Open a new segment. `limit` caps all segments of the folder, in bytes. Raises `SpoolFull`."""
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._limit = limit
        self._segment_bytes = max(4096, min(segment_bytes, limit // 4))
        #: Octets of the longest frame.
        self._longest = min(self._segment_bytes - segments.PROLOGUE_BYTES, segments.MOST_FRAME)
        self._lock = threading.Lock()
        segments.remove_unfinished(directory)
        self._drain = _DrainRate(directory)
        self._full_until = 0.0
        #: Hears, while the lock is held, that the prepared segment is in use now: time for `prepare`.
        self.was_taken: Callable[[], None] = lambda: None
        self._number = 0
        self._next: Segment | None = None
        self._rotated: list[Segment] = []
        self._active = self._create()
        self._closed = False
        #: Calls appended so far.
        self.appended = 0

    def append(self, payload: bytes) -> None:
        """Keep one call. When this returns, no death of the process can lose it.

        Raises `SpoolFull`, and `ValueError` for a payload that no segment could hold.
        """
        header = segments.seal(payload)
        if len(header) + len(payload) > self._longest:
            raise ValueError(f"{len(payload)} bytes do not fit into a segment of {self._segment_bytes}")
        with self._lock:
            if self._closed:
                raise SpoolFull(1)
            if not self._active.write(header, payload):
                self._rotate()
                self._active.write(header, payload)
            self.appended += 1

    def tick(self) -> None:
        """All that has to be done beside the calls, for an owner with one thread for it."""
        self.prepare()
        self.sync()

    def sync(self) -> None:
        """Sync to disk, give up rotated segments, watch how fast the keeper drains."""
        self._drain.sample()
        with self._lock:
            active, rotated, self._rotated = self._active, self._rotated, []
        for segment in rotated:
            segment.close()
        if not self._closed:
            active.sync()

    def prepare(self) -> None:
        """Have the next segment ready, where there is room. For one thread: two would write one each."""
        if self._next is not None or self._closed:
            return
        with contextlib.suppress(SpoolFull):
            segment = self._create()
            with self._lock:
                if self._next is None and not self._closed:
                    self._next = segment
                    return
            segment.discard()

    def close(self) -> None:
        """Sync and give every segment up to the reader; later appends are refused."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            remaining = [*self._rotated, self._active]
            prepared, self._next, self._rotated = self._next, None, []
        for segment in remaining:
            segment.close()
        if prepared is not None:
            prepared.discard()

    def _rotate(self) -> None:
        """Go on in the next segment; the caller holds the lock. Raises `SpoolFull`."""
        following = self._next or self._create()
        self._next = None
        self._rotated.append(self._active)
        self._active = following
        self.was_taken()

    def _create(self) -> Segment:
        now = time.monotonic()
        if now < self._full_until:
            raise SpoolFull(self._drain.seconds_for(self._segment_bytes))
        if disk_octets(self.directory) + self._segment_bytes <= self._limit:
            self._number += 1
            name = f"{time.time_ns():020d}-{os.getpid()}-{self._number}-{id(self):x}{segments.SUFFIX}"
            with contextlib.suppress(OSError):
                return Segment(self.directory / name, self._segment_bytes)
        self._full_until = now + _LOOK_AGAIN_S
        raise SpoolFull(self._drain.seconds_for(self._segment_bytes))


class _DrainRate:
    """How many bytes a second the keeper works off, seen from its checkpoints over the last ten samples."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._offsets: dict[str, int] = {}
        self._drained = 0
        self._samples: deque[tuple[float, int]] = deque(maxlen=10)

    def sample(self) -> None:
        offsets: dict[str, int] = {}
        for path in segment_paths(self._directory):
            offsets[path.name] = checkpoint(path)[0]
        for name, before in self._offsets.items():
            # A segment that vanished was read to its end; how much of it that was is not known, so nothing is added.
            self._drained += max(0, offsets.get(name, before) - before)
        self._drained += sum(offset for name, offset in offsets.items() if name not in self._offsets)
        self._offsets = offsets
        self._samples.append((time.monotonic(), self._drained))

    def seconds_for(self, octets: int) -> int:
        """Whole seconds until about this many bytes are worked off; at least 1, at most 30."""
        if len(self._samples) < 2:
            return _MOST_RETRY_S
        (first, before), (last, after) = self._samples[0], self._samples[-1]
        if after <= before or last <= first:
            return _MOST_RETRY_S
        return min(_MOST_RETRY_S, max(1, math.ceil(octets * (last - first) / (after - before))))
