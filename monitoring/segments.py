"""The spool's files: preallocated, memory-mapped segments of frames, and how they are read back after any death.

A segment is a prologue (mark, end of the last frame, number of frames) and frames one behind the other. A frame is
mark, CRC32, length, time of writing, payload. The payload is copied first and the header last, so that a process
killed at any instant leaves frames that are whole or invisible. The CRC covers length, time and payload.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

SUFFIX = ".spool"
UNFINISHED = ".new"
PROLOGUE_BYTES = 64
MOST_PAYLOAD = 4 * 2**20
#: Octets that may lie on the disk and in this process's own memory at once; whole pages of every system.
RELEASE_BYTES = 2**20

_MARK = b"\xf7CAL"
_PROLOGUE = struct.Struct("=8sQQ")
_COUNTERS = struct.Struct("=QQ")
_FRAME = struct.Struct("<4sIId")
_SEALED = struct.Struct("<Id")
_HEADER = _FRAME.size
MOST_FRAME = _HEADER + MOST_PAYLOAD
_pack, _sealed, _count = _FRAME.pack, _SEALED.pack, _COUNTERS.pack_into
_FILE_MARK = b"SPOOL-1\n"
#: A false mark inside garbage is given up after this many tries per window, so that no file costs minutes.
_MOST_CANDIDATES = 10_000


@dataclass(frozen=True, slots=True)
class Frame:
    """One payload as read back; `end` is the offset behind it, `damage` the unreadable stretches before it."""

    end: int
    written_at: float
    payload: bytes
    damage: int = 0


@dataclass(frozen=True, slots=True)
class Scan:
    """What one read found: frames in order, where the next read starts, unreadable stretches behind the last one."""

    frames: tuple[Frame, ...]
    offset: int
    damage: int = 0


def seal(payload: bytes) -> bytes:
    """The header of this payload's frame."""
    length, now = len(payload), time.time()
    return _pack(_MARK, crc32(payload, crc32(_sealed(length, now))), length, now)


class Segment:
    """One segment being written, by one process only, which holds its lock until `close`."""

    def __init__(self, path: Path, octets: int) -> None:
        """Create it whole: the name appears only when the space is really there. Raises `OSError` (disk full)."""
        self.path = path
        self.octets = octets
        unfinished = path.with_suffix(UNFINISHED)
        self._file = os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _allocate(self._file, octets)
            self._map = mmap.mmap(self._file, octets)
            self._map[: _PROLOGUE.size] = _PROLOGUE.pack(_FILE_MARK, PROLOGUE_BYTES, 0)
            unfinished.rename(path)
        except BaseException:
            os.close(self._file)
            unfinished.unlink(missing_ok=True)
            raise
        self._end = PROLOGUE_BYTES
        self._calls = 0
        self._synced = 0
        self._released = 0

    def write(self, header: bytes, payload: bytes) -> bool:
        """Add one frame; False when there is no room for it. The caller holds the spool's lock."""
        start, space = self._end, self._map
        body = start + _HEADER
        end = body + len(payload)
        if end > self.octets:
            return False
        space[body:end] = payload
        space[start:body] = header
        self._end = end
        self._calls += 1
        _count(space, 8, end, self._calls)
        return True

    def sync(self) -> None:
        """Push what was written to the disk. fdatasync, because mmap.flush() keeps the interpreter locked meanwhile."""
        end = self._end
        if end != self._synced:
            os.fdatasync(self._file) if hasattr(os, "fdatasync") else os.fsync(self._file)
            self._synced = end
            self._release(end)

    def _release(self, end: int) -> None:
        """Unmap the whole pages before `end`: they are on the disk, and this process never reads them again."""
        octets = (end - self._released) // RELEASE_BYTES * RELEASE_BYTES
        if octets:
            self._map.madvise(mmap.MADV_DONTNEED, self._released, octets)
            self._released += octets

    def close(self) -> None:
        """Sync and give the file up to the reader."""
        self.sync()
        self._map.close()
        fcntl.flock(self._file, fcntl.LOCK_UN)
        os.close(self._file)

    def discard(self) -> None:
        """Remove a segment that nothing was written to."""
        self.path.unlink(missing_ok=True)
        self.close()


def is_abandoned(file: int) -> bool:
    """True when no process writes to this segment any more: rotated, closed, or its writer died."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    fcntl.flock(file, fcntl.LOCK_UN)
    return True


def counters(file: int) -> tuple[int, int]:
    """(end of the last frame, number of frames), as the writer says; never trusted for a segment left by a death."""
    prologue = os.pread(file, _PROLOGUE.size, 0)
    if len(prologue) < _PROLOGUE.size or prologue[:8] != _FILE_MARK:
        return PROLOGUE_BYTES, 0
    _, end, calls = _PROLOGUE.unpack(prologue)
    return end, calls


def written_at(file: int, offset: int) -> float | None:
    """When the frame at this offset was written; None when there is none."""
    header = os.pread(file, _FRAME.size, offset)
    if len(header) < _FRAME.size or header[:4] != _MARK:
        return None
    when: float = _FRAME.unpack(header)[3]
    return when


def scan(file: int, start: int, stop: int, *, calls: int, octets: int) -> Scan:
    """Read at most `calls` frames and about `octets` bytes of [start, stop), stepping over what is damaged."""
    window = os.pread(file, max(0, min(stop - start, octets)), start)
    wanted = _claimed_end(window, 0)
    if wanted is not None and wanted > len(window) and start + wanted <= stop:
        window = os.pread(file, wanted, start)
    is_last = start + len(window) >= stop or not window
    found: list[Frame] = []
    at, damage = 0, 0
    while at < len(window) and len(found) < calls:
        frame = _frame(window, at, start)
        if frame is not None:
            found.append(Frame(frame.end, frame.written_at, frame.payload, damage))
            at, damage = frame.end - start, 0
            continue
        if not is_last and at > 0 and _reaches_past(window, at):
            break
        behind = _next_candidate(window, at + 1, is_last=is_last)
        damage += bool(window[at:behind].lstrip(b"\0"))
        at = behind
    return Scan(tuple(found), start + at if window else stop, damage)


def _frame(window: bytes, at: int, start: int) -> Frame | None:
    """The whole and undamaged frame at this place of the window, if there is one."""
    end = _claimed_end(window, at)
    if end is None or end > len(window):
        return None
    _, crc, length, when = _FRAME.unpack_from(window, at)
    payload = window[at + _FRAME.size : end]
    if crc32(payload, crc32(_sealed(length, when))) != crc:
        return None
    return Frame(start + end, when, payload)


def _claimed_end(window: bytes, at: int) -> int | None:
    if window[at : at + 4] != _MARK or at + _FRAME.size > len(window):
        return None
    length: int = _FRAME.unpack_from(window, at)[2]
    return at + _FRAME.size + length if length <= MOST_PAYLOAD else None


def _reaches_past(window: bytes, at: int) -> bool:
    """True when what stands here may be a good frame of which the window holds only the beginning."""
    if len(window) - at < _FRAME.size:
        return True
    end = _claimed_end(window, at)
    return end is not None and end > len(window)


def _next_candidate(window: bytes, at: int, *, is_last: bool) -> int:
    """Where the next good frame, or the beginning of one that the window cuts off, stands."""
    for _ in range(_MOST_CANDIDATES):
        at = window.find(_MARK, at)
        if at < 0:
            break
        if _frame(window, at, 0) is not None or (not is_last and _reaches_past(window, at)):
            return at
        at += 1
    return len(window) if is_last else max(1, len(window) - len(_MARK) + 1)


def _allocate(file: int, octets: int) -> None:
    """Take the space now, so that a full disk is an error here and never a SIGBUS in the middle of a prediction.

    And write it, which leaves it in memory: every page that a call would be the first to touch would cost it 3 µs.
    In small steps: the kernel does not break one off for a call that wants the core.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, octets)
    zeros = bytes(2**17)
    for start in range(0, octets, len(zeros)):
        os.pwrite(file, zeros[: octets - start], start)


def remove_unfinished(directory: Path) -> None:
    """Remove segments whose creation a death cut short; those being created now are locked, or seconds old."""
    for path in directory.glob(f"*{UNFINISHED}"):
        with contextlib.suppress(OSError):
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            if is_abandoned(file) and time.time() - os.fstat(file).st_mtime > 60:
                path.unlink()
            os.close(file)


def remove(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
