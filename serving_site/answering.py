"""What Granian calls for each request: the site's application, and the rest of the thread that ran it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from granian.wsgi import ResponseIterWrap

from predictions import later
from predictions.shifts import SHIFTS
from serving_site import draining

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

#: What every request says of its server. The process's own environment stays out: it holds addresses and passwords.
_SERVER = {
    "SCRIPT_NAME": "",
    "SERVER_SOFTWARE": "Granian",
    "wsgi.errors": sys.stderr,
    "wsgi.multiprocess": False,
    "wsgi.multithread": True,
    "wsgi.run_once": False,
    "wsgi.version": (1, 0),
}


class _Answer:
    """WSGI's `start_response`, which only keeps what it is told."""

    __slots__ = ("headers", "status")

    def __init__(self) -> None:
        self.status = 200
        self.headers: list[tuple[str, str]] = []

    def __call__(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
        self.status = int(status[:3])
        self.headers = headers


class _Later:
    """An answer that is sent after its call has returned. Until then the request runs, as `draining` counts it."""

    __slots__ = ("_protocol",)

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        draining.enter(id(self))

    def __call__(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        try:
            self._protocol.response_bytes(status, headers, body)
        finally:
            draining.leave(id(self))


def in_shifts(application: Application, *_: Any) -> Callable[[Any, dict[str, Any]], None]:
    """In place of Granian's own wrapper: an answer is sent, then its thread rests, which no hook of WSGI allows."""
    begin, end = SHIFTS.begin, SHIFTS.end
    threading.Thread(target=SHIFTS.watch, name="shifts", daemon=True).start()

    def answer(protocol: Any, scope: dict[str, Any]) -> None:
        begin()
        is_sent = False
        scope.update(_SERVER)
        scope[later.OFFER] = partial(_Later, protocol)
        said = _Answer()
        try:
            body = application(scope, said)
            if body is later.LATER:
                pass
            elif isinstance(body, list):
                protocol.response_bytes(said.status, said.headers, body[0] if len(body) == 1 else b"".join(body))
            else:
                protocol.response_iter(said.status, said.headers, ResponseIterWrap(body))  # type: ignore[no-untyped-call]
            is_sent = True
        finally:
            # Granian answers for what has raised, but only once this has returned.
            end(may_rest=is_sent)

    return answer
