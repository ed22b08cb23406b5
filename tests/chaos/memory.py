"""What a process holds: resident memory from the kernel, and whether a library is loaded in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

#: Of one mapping in /proc/…/smaps: offset, device, inode and name of its file, kB resident, and kB of no file.
_MAPPING = re.compile(
    r"^[0-9a-f]+-[0-9a-f]+ \S+ ([0-9a-f]+ [0-9a-f:]+ [1-9]\d* .*)\n(?:[A-Z].*\n)*?"
    r"Rss:\s+(\d+) kB\n(?:[A-Z].*\n)*?Anonymous:\s+(\d+) kB",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Sample:
    """Bytes that the server holds after so many answers; the recorder counts to the worker that forked it."""

    answers: int
    supervisor: int
    worker: int

    @property
    def server(self) -> int:
        return self.supervisor + self.worker


def resident(pid: int) -> int:
    """Bytes resident now, shared pages included."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    assert found, f"process {pid} says nothing of its memory"
    return int(found.group(1)) * 1024


def held(pid: int) -> int:
    """Bytes resident now of a process and of all it has forked; a page that several of them share counts once.

    Programs outside change nothing of it: the kernel's own share of a page (Pss) of a library grows whenever
    another program that had it mapped ends, so only what no other program can share is taken from there.
    """
    family = _family(pid)
    files: dict[str, int] = {}
    for one in family:
        for mapping, octets in _of_files(one).items():
            files[mapping] = max(files.get(mapping, 0), octets)
    return sum(map(_of_no_file, family)) + sum(files.values())


def _of_no_file(pid: int) -> int:
    """Bytes of pages that are a process's own; of those shared with the process that forked it, its part."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss_Anon:\s+(\d+) kB", text, re.MULTILINE)
    assert found, f"process {pid} says nothing of its memory"
    return int(found.group(1)) * 1024


def _of_files(pid: int) -> dict[str, int]:
    """Bytes of pages as they stand in a file, by file and place in it."""
    text = Path(f"/proc/{pid}/smaps").read_text()
    octets: dict[str, int] = {}
    for mapping, resident_kb, own_kb in _MAPPING.findall(text):
        octets[mapping] = (int(resident_kb) - int(own_kb)) * 1024
    return octets


def _family(pid: int) -> list[int]:
    return [pid, *(one for child in _forked(pid) for one in _family(child))]


def _forked(pid: int) -> list[int]:
    """Children that go on with the program of their parent: a model's process has one of its own."""
    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    tasks = list(Path(f"/proc/{pid}/task").iterdir())
    children = [int(child) for task in tasks for child in _if_there(task / "children").split()]
    return [child for child in children if _if_there(Path(f"/proc/{child}/cmdline")) == command]


def _if_there(path: Path) -> bytes:
    """What the kernel says of a thread or a process; nothing when it has ended since it was listed."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def libraries(pid: int) -> set[str]:
    """Names of the Python packages whose compiled parts are mapped into a process."""
    return packages(Path(f"/proc/{pid}/maps").read_text().splitlines())


def packages(maps: Iterable[str]) -> set[str]:
    return {found.group(1) for line in maps if (found := re.search(r"/site-packages/([^/]+)/", line))}


def growth_of_second_half(samples: Sequence[Sample]) -> int:
    """Bytes gained over the second half, by a straight line through its samples: one late outlier decides nothing."""
    half = [sample for sample in samples if sample.answers >= samples[-1].answers / 2]
    mean_x = sum(sample.answers for sample in half) / len(half)
    mean_y = sum(sample.server for sample in half) / len(half)
    spread = sum((sample.answers - mean_x) ** 2 for sample in half)
    if not spread:
        return 0
    slope = sum((sample.answers - mean_x) * (sample.server - mean_y) for sample in half) / spread
    return round(slope * (half[-1].answers - half[0].answers))
