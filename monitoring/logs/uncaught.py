"""What no code caught, of any thread, as a line like any other: Python's own report would show the error's words."""

from __future__ import annotations

import logging
import sys
import threading
from types import TracebackType
from typing import Any

logger = logging.getLogger(__name__)


class Uncaught:
    """Between `start` and `stop` the process's last words are log lines."""

    name = "uncaught"

    def __init__(self) -> None:
        self._before: tuple[Any, Any] | None = None

    def start(self) -> None:
        self._before = sys.excepthook, threading.excepthook
        sys.excepthook, threading.excepthook = _of_process, _of_thread

    def stop(self, timeout: float) -> None:
        if self._before is not None:
            sys.excepthook, threading.excepthook = self._before
            self._before = None


def _of_process(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        logger.critical("the process ends by an error", exc_info=error, extra={"action": "uncaught"})


def _of_thread(facts: threading.ExceptHookArgs) -> None:
    if facts.exc_value is not None and not issubclass(facts.exc_type, SystemExit):
        name = facts.thread.name if facts.thread else "unknown"
        logger.critical("thread %s ends by an error", name, exc_info=facts.exc_value, extra={"action": "uncaught"})
