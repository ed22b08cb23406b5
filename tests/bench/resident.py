"""What a stream of records holds in memory, watched while it runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: Records between two looks.
EVERY = 500


class Memory:
    """Resident memory of this process while it streams `count` records: at first, most in the first tenth, and most.

    The first tenth brings pages, parser and writer into memory; what holds on to records would grow on after it.
    """

    def __init__(self, count: int) -> None:
        self._tenth = count // 10
        self._first = self._early = self._most = resident_mb()
        self.seen = 0

    def watched(self, found: Iterator[Any]) -> Iterator[Any]:
        for document in found:
            self.seen += 1
            if self.seen % EVERY == 0:
                self._most = max(self._most, resident_mb())
                if self.seen <= self._tenth:
                    self._early = self._most
            yield document

    def told(self) -> dict[str, float]:
        return {"memory_mb": self._first, "tenth_mb": self._early, "most_mb": self._most}


def resident_mb() -> float:
    """Megabytes, of 10⁶ bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
