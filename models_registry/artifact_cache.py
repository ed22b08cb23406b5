"""Copies of artefacts that lie on another machine: as many as fit, what was opened longest ago goes first."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

from models_registry import errors
from models_registry.artifacts import Folder

logger = logging.getLogger(__name__)

#: Seconds for which a copy stays after it was opened, whatever its size: who was told its path may still read it.
SPARED_S = 600.0


class ArtifactCache(Folder):
    """A folder of at most `limit` bytes, and of what was opened within the last `SPARED_S` seconds."""

    def __init__(self, root: Path, *, limit: int) -> None:
        super().__init__(root)
        self._limit = limit

    def local_path(self, digest: str) -> Path:
        """The verified copy. Raises `NotFound`, or `Conflict` if its bytes were changed."""
        try:
            # Before it is read, so that no other process of this host takes it away meanwhile.
            os.utime(self._path(digest))
            return super().local_path(digest)
        except FileNotFoundError:
            raise errors.NotFound(f"artefact {digest[:12]}… is not in the cache") from None

    def keep(self, incoming: Path, digest: str) -> None:
        """Give the file its name; then there may be too many."""
        super().keep(incoming, digest)
        self._prune()

    def _prune(self) -> None:
        copies = sorted(self._copies(), key=lambda copy: copy[1].st_mtime)
        excess = sum(facts.st_size for _, facts in copies) - self._limit
        for path, facts in copies:
            if excess <= 0 or time.time() - facts.st_mtime < SPARED_S:
                return
            path.unlink(missing_ok=True)
            excess -= facts.st_size
            logger.info("the local copy of artefact %s was dropped", path.name, extra={"action": "artifact_dropped"})

    def _copies(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self._root.glob("*/*"):
            try:
                yield path, path.stat()
            except FileNotFoundError:  # dropped by another process meanwhile
                continue
