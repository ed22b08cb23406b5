"""One server per data folder: an exclusive lock that the supervisor takes and its worker process shares.

The lock belongs to the open file, which the worker inherits: it is free only when both are gone, whichever was killed.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path

#: Seconds a start waits for a server that was killed to be gone altogether.
PATIENCE_S = 10.0


class DataFolderInUse(Exception):
    """Another server holds the data folder; the message names it."""


class DataLock:
    """The lock on one data folder; hold it for as long as the server lives."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "lock"
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def take(self, *, patience: float = PATIENCE_S) -> None:
        """Take the lock, waiting `patience` seconds when its supervisor is dead already.

        Raises `DataFolderInUse` naming process and address of the server that has it.
        """
        end = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                holder = self.holder()
                if _alive(holder.get("pid")) or time.monotonic() > end:
                    raise DataFolderInUse(self._refusal(holder)) from None
                time.sleep(0.02)

    def tell(self, **facts: object) -> None:
        """Write who holds the lock (pid, worker, url), for the next one's message."""
        text = json.dumps(facts).encode()
        os.pwrite(self._file, text, 0)
        os.ftruncate(self._file, len(text))

    def holder(self) -> dict[str, object]:
        """What the holder wrote; empty while it has not."""
        try:
            return dict(json.loads(self._path.read_text() or "{}"))
        except (OSError, ValueError):
            return {}

    def _refusal(self, holder: dict[str, object]) -> str:
        who = f"process {holder.get('pid', 'unknown')}, {holder.get('url', 'address unknown')}"
        return f"A server already runs on {self._path.parent} ({who}). Stop it first, or set another DATA_DIR and PORT."


def _alive(pid: object) -> bool:
    if not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _zombie(pid)


def _zombie(pid: int) -> bool:
    """A killed process whose parent has not asked for its end yet still takes signals, but holds nothing."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return False
