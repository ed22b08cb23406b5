"""Reading the spool back: calls in order, checkpoints of what was stored, segments removed when they are finished."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from monitoring import segments

_CHECKPOINT = ".offset"
#: Bytes that are read at once: some 200 small records. The kernel breaks a read off for nobody, and of 1 MiB it takes
#: 0.6 ms in which no call that waits for the same core gets on.
_WINDOW = 2**16


@dataclass(frozen=True, slots=True)
class Depth:
    """What waits in a spool folder. `oldest_s` is the age of the oldest waiting call, 0 when none waits."""

    octets: int
    calls: int
    oldest_s: float
    disk_octets: int


@dataclass(frozen=True, slots=True)
class Token:
    """Names one handed-out call: its segment and the offset behind its frame."""

    segment: str
    end: int


@dataclass(slots=True)
class _Opened:
    """A segment being read. `position` is the offset up to which everything is stored; `handed` lists, in file
    order, (end, damage before it) of the frames handed out behind it, `done` the ends among them that are stored."""

    path: Path
    file: int
    octets: int
    position: int
    stored: int
    scanned: int
    trailing_damage: int = 0
    is_abandoned: bool = False
    handed: deque[tuple[int, int]] = field(default_factory=deque)
    done: set[int] = field(default_factory=set)

    def begin_anew(self) -> None:
        """Go back to the checkpoint: what was handed out and refused comes again."""
        self.handed.clear()
        self.scanned, self.trailing_damage = self.position, 0


class Reader:
    """Hands out what the spool holds and forgets only what was marked. One per folder: a second one gets nothing."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._opened: dict[str, _Opened] = {}
        self._lock_file: int | None = None
        self.damaged = 0

    def batch(
        self, *, calls: int = 500, octets: int = 5_000_000, behind: Token | None = None
    ) -> list[tuple[Token, bytes]]:
        """The oldest calls that are not marked, in the order written; those handed out before come again.

        With `behind`, the last token of the batch before, only what follows it is handed out, marked or not.
        """
        if not self._is_alone():
            return []
        found: list[tuple[Token, bytes]] = []
        taken = 0
        for path in segment_paths(self._directory):
            if behind is not None and path.name < behind.segment:
                continue
            opened = self._open(path)
            if opened is None:
                continue
            if behind is None or path.name != behind.segment:
                opened.begin_anew()
            for frame in self._read(opened, calls - len(found), octets - taken):
                found.append((Token(path.name, frame.end), frame.payload))
                taken += len(frame.payload)
            if len(found) >= calls or taken >= octets:
                break
        return found

    def mark(self, tokens: Iterable[Token]) -> None:
        """These calls are stored: never hand them out again. The checkpoint is on disk when this returns."""
        touched: dict[str, _Opened] = {}
        for token in tokens:
            opened = self._opened.get(token.segment)
            if opened is not None:
                opened.done.add(token.end)
                touched[token.segment] = opened
        for opened in touched.values():
            self._advance(opened)

    def close(self) -> None:
        for opened in self._opened.values():
            os.close(opened.file)
        self._opened = {}
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    def _is_alone(self) -> bool:
        if self._lock_file is None:
            file = os.open(self._directory / "reader.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(file)
                return False
            self._lock_file = file
        return True

    def _open(self, path: Path) -> _Opened | None:
        opened = self._opened.get(path.name)
        if opened is None:
            try:
                file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return None
            position, stored = checkpoint(path)
            opened = _Opened(path, file, os.fstat(file).st_size, position, stored, scanned=position)
            self._opened[path.name] = opened
        return opened

    def _read(self, opened: _Opened, calls: int, octets: int) -> list[segments.Frame]:
        """Frames behind what was scanned that are not stored."""
        # Asked before reading: whatever was written before the writer gave up is then seen.
        opened.is_abandoned = opened.is_abandoned or segments.is_abandoned(opened.file)
        stop = opened.octets if opened.is_abandoned else min(opened.octets, segments.counters(opened.file)[0])
        fresh: list[segments.Frame] = []
        while opened.scanned < stop and len(fresh) < calls and octets > 0:
            scan = segments.scan(opened.file, opened.scanned, stop, calls=calls, octets=_WINDOW)
            for frame in scan.frames:
                opened.handed.append((frame.end, frame.damage + opened.trailing_damage))
                opened.trailing_damage = 0
                if frame.end not in opened.done:
                    fresh.append(frame)
                    octets -= len(frame.payload)
            opened.trailing_damage += scan.damage
            opened.scanned = scan.offset
        if not opened.handed and opened.scanned >= min(stop, opened.octets):
            self._advance(opened)
        return fresh

    def _advance(self, opened: _Opened) -> None:
        """Move the checkpoint over everything stored; remove the segment when that is all of it."""
        before = opened.position
        while opened.handed and opened.handed[0][0] in opened.done:
            end, damage = opened.handed.popleft()
            opened.done.discard(end)
            opened.position = end
            opened.stored += 1
            self.damaged += damage
        if not opened.handed and opened.scanned > opened.position:
            opened.position = opened.scanned
            self.damaged += opened.trailing_damage
        opened.trailing_damage = opened.trailing_damage if opened.handed else 0
        if opened.is_abandoned and opened.position >= opened.octets:
            del self._opened[opened.path.name]
            os.close(opened.file)
            segments.remove(opened.path)
            segments.remove(opened.path.with_suffix(_CHECKPOINT))
        elif opened.position != before:
            _save_checkpoint(opened.path, opened.position, opened.stored)


def depth(directory: Path) -> Depth:
    """What waits in this folder, from counters and checkpoints alone; any process may ask."""
    octets = calls = 0
    oldest = 0.0
    for path in segment_paths(directory):
        with contextlib.suppress(FileNotFoundError):
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                end, written = segments.counters(file)
                position, stored = checkpoint(path)
                if position < end:
                    octets += end - position
                    calls += max(0, written - stored)
                    when = segments.written_at(file, position)
                    oldest = max(oldest, time.time() - when if when else 0.0)
            finally:
                os.close(file)
    return Depth(octets, calls, oldest, disk_octets(directory))


def segment_paths(directory: Path) -> list[Path]:
    """Segments, oldest first: their names begin with the time of creation."""
    with contextlib.suppress(FileNotFoundError):
        return [directory / name for name in sorted(os.listdir(directory)) if name.endswith(segments.SUFFIX)]
    return []


def disk_octets(directory: Path) -> int:
    total = 0
    with contextlib.suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.endswith((segments.SUFFIX, segments.UNFINISHED)):
                with contextlib.suppress(FileNotFoundError):
                    total += entry.stat().st_size
    return total


def checkpoint(path: Path) -> tuple[int, int]:
    """(offset up to which all is stored, calls stored); a lost or spoilt file only means that calls come again."""
    try:
        offset, stored = path.with_suffix(_CHECKPOINT).read_text().split()
        return max(segments.PROLOGUE_BYTES, int(offset)), int(stored)
    except (OSError, ValueError):
        return segments.PROLOGUE_BYTES, 0


def _save_checkpoint(path: Path, offset: int, stored: int) -> None:
    """One write in place, of always the same length and within a sector: another file renamed over it would cost the
    file system more than a small batch costs the database."""
    file = os.open(path.with_suffix(_CHECKPOINT), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(file, f"{offset:20} {stored:20}\n".encode(), 0)
    finally:
        os.close(file)
