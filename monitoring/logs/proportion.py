"""What is worth a line: no alarm for an answer that was meant, and never more of one kind than people can read."""

from __future__ import annotations

import logging
import threading
import time

from monitoring import metrics

#: Statuses of 500 and above that are answers, not faults.
MEANT = frozenset([501, 503, 504])
#: Kinds of lines that are told apart; there are fewer, unless a library makes loggers without end.
_MOST_KINDS = 1000


class InProportion(logging.Filter):
    """Django calls each 5xx an error and each suspicious request one with a traceback. An answer that was meant is in
    the access log already, and what a stranger sends is worth a warning."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name == "django.request" and getattr(record, "status_code", None) in MEANT and not record.exc_info:
            return False
        if record.name.startswith("django.security."):
            record.levelno, record.levelname, record.exc_info = logging.WARNING, "WARNING", None
        return True


class Sampled(logging.Filter):
    """At most `rate` lines a second of one logger, action and level; the others are counted.

    The next line that passes says how many were left out before it. All handlers of a record get the same answer.
    """

    def __init__(self, rate: int) -> None:
        super().__init__()
        self._rate = rate
        self._lock = threading.Lock()
        self._windows: dict[tuple[str, str, int], list[int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        known = record.__dict__.get("is_sampled")
        if known is None:
            known = record.__dict__["is_sampled"] = self._passes(record)
        return bool(known)

    def _passes(self, record: logging.LogRecord) -> bool:
        kind = (record.name, str(record.__dict__.get("action", "")), record.levelno)
        second = int(time.monotonic())
        with self._lock:
            if len(self._windows) > _MOST_KINDS:
                self._windows.clear()
            window = self._windows.setdefault(kind, [second, 0, 0])
            if window[0] != second:
                window[0], window[1] = second, 0
            window[1] += 1
            if window[1] > self._rate:
                window[2] += 1
                passes = False
            else:
                passes = True
                if window[2]:
                    record.__dict__["left_out"], window[2] = window[2], 0
        if not passes:
            metrics.count(metrics.LOG_LINES, ("sampled",))
        return passes
