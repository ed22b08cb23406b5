"""The recorder in a process of its own, beside a server process that answers calls.

Moving a record takes the time of a call, most of it with the interpreter's lock held; in the same interpreter the
calls would wait for it. The process is forked, so that it shares the memory of what is imported, and it ends with the
server. Should it die alone, a thread of the server goes on in its place.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

from monitoring import counted, spooling
from monitoring.background import Background, Ticker, beats
from monitoring.idle_time import IdleTime
from monitoring.parent import die_with_parent
from monitoring.recorder import RecorderThread, spool_source

logger = logging.getLogger(__name__)

NAME = "recorder"
#: Seconds between two reports, and after which a process that has finished no round is called silent.
REPORT_S = 0.5
SILENT_S = 10.0


@dataclass(frozen=True, slots=True)
class Report:
    """What the process says of itself: seconds since its last round, what failed, what it counted since."""

    silent_s: float
    error: str
    growth: counted.Growth


class RecorderProcess:
    """Started before anything of this process has opened a database or started a thread that could hold a lock."""

    name = NAME

    def __init__(self, beside: Callable[[], list[Background]]) -> None:
        """`beside` makes what else runs in the process: the way of its log lines."""
        self._beside = beside
        self._ticker = Ticker(NAME, REPORT_S, self._listen)
        self._channel: Connection | None = None
        self._thread: RecorderThread | None = None
        self._heard_at = time.monotonic()
        self._last = Report(0.0, "", counted.Growth())
        self.pid = 0

    def start(self) -> None:
        from django.db import connections

        connections.close_all()
        if _databases_open():
            # The library's own notes of its locks, which are a process's, would be forked with it.
            self._go_on_in_a_thread("a database is open already")
            return
        ours, theirs = Pipe()
        parent = os.getpid()
        # What the collector looks at in one of the two is no longer shared by both.
        gc.collect()
        gc.freeze()
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            _live(parent, theirs, self._beside)
        theirs.close()
        self._channel = ours
        self._ticker.start()

    def stop(self, timeout: float) -> None:
        """Let it end after the batch that is being written; what waits is found again at the next start."""
        end = time.monotonic() + timeout
        self._ticker.stop(timeout)
        if self._thread is not None:
            self._thread.stop(timeout)
        channel, self._channel = self._channel, None
        if channel is None:
            return
        with contextlib.suppress(OSError, EOFError):
            channel.send(None)
            while channel.poll(max(0.0, end - time.monotonic())):
                self._hear(channel.recv())
        channel.close()
        self._reap(end)

    def _listen(self) -> None:
        """Take in what it said. Raises RuntimeError with what fails there."""
        channel = self._channel
        if channel is None:
            return
        try:
            while channel.poll():
                self._hear(channel.recv())
        except (EOFError, OSError):
            self._channel = None
            channel.close()
            self._reap(time.monotonic())
            self._go_on_in_a_thread("its process has died")
            return
        silent_s = time.monotonic() - self._heard_at + self._last.silent_s
        if self._last.error or silent_s > SILENT_S:
            raise RuntimeError(self._last.error or f"no round was finished for {silent_s:.0f} s")

    def _hear(self, report: Report) -> None:
        self._last, self._heard_at = report, time.monotonic()
        counted.add(report.growth)

    def _go_on_in_a_thread(self, why: str) -> None:
        logger.error("the recorder goes on in a thread: %s", why, extra={"action": "recorder_in_thread"})
        self._thread = RecorderThread(NAME, [spool_source()])
        self._thread.start()

    def _reap(self, end: float) -> None:
        """Ask for its end, until then; beyond that it is killed."""
        while os.waitpid(self.pid, os.WNOHANG)[0] == 0:
            if time.monotonic() >= end:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                return
            time.sleep(0.01)


def _databases_open() -> bool:
    """Whether any part of this process has a database of SQLite open."""
    from django.conf import settings

    names = {str(one["NAME"]) for one in settings.DATABASES.values() if "sqlite3" in one["ENGINE"]}
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if os.readlink(link) in names:
                return True
    return False


def _live(parent: int, channel: Connection, beside: Callable[[], list[Background]]) -> NoReturn:
    """The process from its beginning to its end, which is its server's at the latest."""
    status = 1
    try:
        # Told through the channel: whoever ends all processes at once means the server first.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        die_with_parent()
        if os.getppid() == parent:
            _work(channel, beside())
        status = 0
    except BaseException:
        logger.exception("the recorder's process ends", extra={"action": "recorder_died"})
    finally:
        os._exit(status)


def _work(channel: Connection, beside: list[Background]) -> None:
    growth = counted.Counted()
    recorder = RecorderThread(NAME, [spool_source()], courtesy=IdleTime(spooling.filled))
    running: list[Background] = [*beside, recorder]
    for background in running:
        background.start()
    with contextlib.suppress(OSError, EOFError):  # the server is gone
        while not channel.poll(REPORT_S):
            beat = beats()[NAME]
            channel.send(Report(beat.silent_s, beat.error, growth.taken()))
    for background in reversed(running):
        background.stop(SILENT_S)
    with contextlib.suppress(OSError):
        channel.send(Report(0.0, "", growth.taken()))
