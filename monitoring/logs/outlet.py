"""From the loggers of this process into the log spool, without anybody waiting: a bounded queue and a thread behind it.

A line that finds the queue or the spool full is dropped and counted. Dying loses what the thread had not taken yet, at
most `EVERY_S` of lines; they have been on stdout.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections import deque
from pathlib import Path

from monitoring import metrics
from monitoring.background import Ticker
from monitoring.logs import ecs
from monitoring.spool import Spool, SpoolFull

logger = logging.getLogger(__name__)

#: Seconds between two looks of the thread.
EVERY_S = 0.2
#: Lines that may wait for the thread.
MOST_WAITING = 10_000
#: Small, because every process of a host preallocates two.
SEGMENT_BYTES = 2**20
#: Looks between two syncs of the spool.
_SYNC_EVERY = 5


class Outlet:
    """The way of this process's lines into its own segments of the folder; closed until it is started."""

    def __init__(self, directory: Path, *, limit: int, service: str) -> None:
        """`limit` caps the segments of all processes in the folder, in bytes. `service` names this process's kind."""
        self.name = "logs"
        self._directory = directory
        self._limit = limit
        self._service = service
        self._lines: deque[str] = deque()
        self._owner = 0
        self._spool: Spool | None = None
        self._looks = 0
        self._ticker = Ticker(self.name, EVERY_S, self.flush)
        self._working = threading.Lock()

    def start(self) -> None:
        global _outlet
        ecs.name_service(self._service)
        self._owner = os.getpid()
        _outlet = self
        self._ticker.start()
        atexit.register(self.stop, 1.0)
        logger.info("%s begins", self._service, extra={"action": "process_began"})

    def stop(self, timeout: float) -> None:
        """Spool what waits and give the segments up to the keeper; what is logged later goes to stdout only."""
        global _outlet
        if _outlet is self:
            logger.info("%s ends", self._service, extra={"action": "process_ended"})
            _outlet = None
        atexit.unregister(self.stop)
        self._ticker.stop(timeout)
        if self._owner == os.getpid():
            self.flush()
            if self._spool is not None:
                self._spool.close()
                self._spool = None

    def put(self, line: str) -> None:
        """Never waits: the line is queued, or dropped and counted."""
        if self._owner != os.getpid():
            return
        if len(self._lines) >= MOST_WAITING:
            metrics.count(metrics.LOG_LINES, ("dropped",))
            return
        self._lines.append(line)

    def flush(self) -> None:
        """Move what waits into the spool; what does not fit is dropped and counted."""
        with self._working:
            spooled = dropped = 0
            while self._lines:
                line = self._lines.popleft()
                try:
                    self._opened().append(line.encode("utf-8", "replace"))
                    spooled += 1
                except (SpoolFull, ValueError, OSError):  # the last: the disk is full, or the folder is gone
                    dropped += 1
            if spooled:
                metrics.count(metrics.LOG_LINES, ("spooled",), spooled)
            if dropped:
                metrics.count(metrics.LOG_LINES, ("dropped",), dropped)
            self._looks += 1
            if self._spool is not None and self._looks % _SYNC_EVERY == 0:
                self._spool.tick()

    def _opened(self) -> Spool:
        if self._spool is None:
            self._spool = Spool(self._directory, limit=self._limit, segment_bytes=SEGMENT_BYTES)
        return self._spool


_outlet: Outlet | None = None


class SpoolHandler(logging.Handler):
    """Formats a line and hands it to the process's outlet; without one (a command) it does nothing."""

    def handle(self, record: logging.LogRecord) -> bool | logging.LogRecord:  # type: ignore[override]
        """Without the handler's lock: a deque takes one line of each thread at a time by itself."""
        outlet = _outlet
        if outlet is None:
            return False
        kept = self.filter(record)
        if kept:
            try:
                outlet.put(self.format(record))
            except Exception:
                self.handleError(record)
        return kept
