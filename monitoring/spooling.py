"""The spool of this process, opened from the settings on first use, and what keeps it going beside the calls."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from django.conf import settings

from monitoring import metrics
from monitoring.background import Background, Ticker
from monitoring.spool import Depth, Spool, SpoolFull, depth
from monitoring.spool_reader import disk_octets

_lock = threading.Lock()
_spool: Spool | None = None


def directory() -> Path:
    return Path(settings.SPOOL_DIR)


def opened() -> Spool:
    """This process's spool. Raises `SpoolFull` when not even a first segment may be made."""
    return _spool or _open()


def _open() -> Spool:
    global _spool
    with _lock:
        _spool = _spool or Spool(directory(), limit=settings.SERVING["SPOOL_LIMIT"])
        return _spool


def _forget() -> None:
    """In a forked child: its parent writes to these segments, and perhaps held the lock."""
    global _spool, _lock
    _spool, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget)


def append(payload: bytes) -> None:
    """Keep one encoded call (`records.encode_call`).

    Raises `SpoolFull`, unless the setting prefers an answer to its record: then the loss is counted.
    """
    try:
        opened().append(payload)
    except SpoolFull:
        if settings.SERVING["ANSWER_WITHOUT_RECORD"]:
            metrics.count_records("lost", 1)
            return
        metrics.count(metrics.SPOOL_REFUSALS)
        raise


def appended() -> int:
    """How many calls this process has spooled since it opened its spool; 0 where it has none."""
    spool = _spool
    return spool.appended if spool is not None else 0


def filled() -> float:
    """How much of its limit the folder's segments take, 0 to 1."""
    return float(disk_octets(directory()) / settings.SERVING["SPOOL_LIMIT"])


def close() -> None:
    """Give this process's segments up to the keeper; the next `append` opens a new one."""
    global _spool
    with _lock:
        spool, _spool = _spool, None
    if spool is not None:
        spool.close()


def waiting() -> Depth:
    """What the folder holds that is not in the record store yet, of every process of this host."""
    return depth(directory())


class SpoolTick:
    """Syncs the spool and keeps its next segment ready; on `stop` the segments go to the keeper.

    A segment is prepared as soon as the one before is taken: at 10,000 calls a second that is more than one a second.
    """

    name = "spool"

    def __init__(self, *, every_s: float = 1.0) -> None:
        self._ticker = Ticker(self.name, every_s, lambda: opened().sync())
        self._segments = Ticker("segments", every_s, self._prepare)

    def start(self) -> None:
        self._ticker.start()
        self._segments.start()

    def stop(self, timeout: float) -> None:
        self._segments.stop(timeout)
        self._ticker.stop(timeout)
        close()

    def _prepare(self) -> None:
        spool = opened()
        spool.was_taken = self._segments.wake
        spool.prepare()


def background() -> list[Background]:
    return [SpoolTick()]
