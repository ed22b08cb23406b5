"""Following the logs of other programs: from where reading stopped, over rotation, truncation and restarts.

A file is known by device and inode, so a renamed one is read to its end; the checksum of its beginning tells a new file
on an old inode. Offsets are kept once the store has the lines. Framework-free.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from monitoring.logs import foreign
from monitoring.logs.lines import LogLine, line_of

#: Bytes of a file that are read at once; a longer line is cut there.
READ_BYTES = 256 * 2**10
#: Bytes from the end at which a file begins that was never seen before and is not the successor of another.
FIRST_BYTES = 2**20
#: Bytes at the beginning by which a file is known again.
_BEGINNING = 256
_MOST_FILES = 100


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to follow: a kind of `foreign.KINDS` and a path, which may be a pattern."""

    kind: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Place:
    """Names one handed-out line: its file and the offset behind it."""

    file: str
    end: int


@dataclass(slots=True)
class _File:
    """How far a file was read. `handed` lists, in order, (end, whether a line was handed out) behind `offset`;
    `beginning` is the checksum of the first `checked` bytes."""

    pattern: str
    offset: int = 0
    checked: int = 0
    beginning: int = 0
    handed: list[tuple[int, bool]] = field(default_factory=list)


def wanted(settings: Iterable[str]) -> list[Wanted]:
    """The setting's items, `kind:path`. Raises `ValueError` naming the one that is none."""
    found = []
    for item in settings:
        kind, _, pattern = item.strip().partition(":")
        if kind not in foreign.KINDS or not pattern.startswith("/"):
            raise ValueError(f"{item!r} is not one of {', '.join(foreign.KINDS)} with an absolute path behind a colon")
        found.append(Wanted(kind, pattern))
    return found


class Follower:
    """Hands out new lines of the wanted files and forgets what was marked. One per folder: a second gets nothing."""

    def __init__(self, wanted: Sequence[Wanted], folder: Path) -> None:
        self.name = "followed logs"
        self._wanted = wanted
        self._folder = folder
        self._lock: int | None = None
        self._files: dict[str, _File] = {}

    def batch(self, limit: int) -> list[tuple[Place, LogLine]]:
        """At most about `limit` new lines; those that were not marked come again."""
        if not self._wanted or not self._is_alone():
            return []
        found: list[tuple[Place, LogLine]] = []
        present: set[str] = set()
        for one in self._wanted:
            for path in _candidates(one.pattern, set(self._files)):
                with contextlib.suppress(OSError), open(path, "rb") as file:
                    name = self._recognise(one, file.fileno())
                    present.add(name)
                    if len(found) < limit:
                        found += self._read(one.kind, name, file.fileno(), limit - len(found))
        for name in set(self._files) - present:
            del self._files[name]
        return found

    def mark(self, places: Iterable[Place]) -> None:
        """These are stored: the files go on behind them. The offsets are on disk when this returns."""
        if self._lock is None:
            return
        done = {(place.file, place.end) for place in places}
        for name, known in self._files.items():
            for end, was_handed in known.handed:
                if was_handed and (name, end) not in done:
                    break
                known.offset = end
            known.handed = [item for item in known.handed if item[0] > known.offset]
        self._save()

    def close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _is_alone(self) -> bool:
        if self._lock is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            file = os.open(self._folder / "follower.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(file)
                return False
            self._lock = file
            self._files = self._load()
        return True

    def _recognise(self, one: Wanted, file: int) -> str:
        """The file's name by device and inode; what is known of it is forgotten when it is another file."""
        facts = os.fstat(file)
        name = f"{facts.st_dev}:{facts.st_ino}"
        known = self._files.get(name)
        if known is None:
            has_forerunner = any(other.pattern == one.pattern for other in self._files.values())
            offset = 0 if has_forerunner else _line_behind(file, facts.st_size - FIRST_BYTES)
            self._files[name] = _File(one.pattern, offset)
        elif facts.st_size < known.offset or _checksum(file, known.checked) != known.beginning:
            self._files[name] = _File(one.pattern)
        return name

    def _read(self, kind: str, name: str, file: int, limit: int) -> Iterator[tuple[Place, LogLine]]:
        known = self._files[name]
        known.handed = []
        start = known.offset
        for raw in _lines(os.pread(file, READ_BYTES, start)):
            end = start + len(raw)
            fields = foreign.fields_of(kind, raw.decode("utf-8", "replace").rstrip("\r\n"))
            known.handed.append((end, fields is not None))
            if fields is not None:
                yield Place(name, end), line_of(fields, seed=f"{name}:{start}:".encode() + raw)
                limit -= 1
            start = end
            if limit <= 0:
                break
        known.checked = min(_BEGINNING, start)
        known.beginning = _checksum(file, known.checked)
        if known.handed and not any(was_handed for _, was_handed in known.handed):
            known.offset, known.handed = start, []

    def _load(self) -> dict[str, _File]:
        try:
            kept = json.loads((self._folder / "followed.json").read_text())
            return {
                name: _File(str(pattern), int(offset), int(checked), int(beginning))
                for name, (pattern, offset, checked, beginning) in kept.items()
            }
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def _save(self) -> None:
        kept = {
            name: [known.pattern, known.offset, known.checked, known.beginning] for name, known in self._files.items()
        }
        unfinished = self._folder / "followed.new"
        unfinished.write_text(json.dumps(kept))
        unfinished.replace(self._folder / "followed.json")


def _candidates(pattern: str, known: set[str]) -> list[str]:
    """Known files that were renamed beside those that the pattern names, then these; oldest change first."""
    found: list[tuple[bool, float, str]] = []
    named = set(glob.glob(pattern))
    for path in named | set(glob.glob(f"{pattern}*")):
        with contextlib.suppress(OSError):
            facts = os.stat(path)
            if path in named or f"{facts.st_dev}:{facts.st_ino}" in known:
                found.append((path in named, facts.st_mtime, path))
    return [path for _, _, path in sorted(found)[-_MOST_FILES:]]


def _lines(chunk: bytes) -> list[bytes]:
    """Whole lines with their ends; what has none yet waits, unless it fills the chunk."""
    lines = chunk.splitlines(keepends=True) if b"\r" not in chunk else chunk.replace(b"\r", b" ").splitlines(True)
    if lines and not lines[-1].endswith(b"\n") and (len(lines) > 1 or len(chunk) < READ_BYTES):
        lines.pop()
    return lines


def _line_behind(file: int, offset: int) -> int:
    """Where the first whole line behind this offset begins."""
    if offset <= 0:
        return 0
    newline = os.pread(file, READ_BYTES, offset).find(b"\n")
    return offset + newline + 1


def _checksum(file: int, octets: int) -> int:
    return zlib.crc32(os.pread(file, octets, 0))
