"""What the lines of this thread are about: a request, a prediction, a trace. Framework-free, cheap to ask.

A trace comes and goes as W3C's `traceparent` (https://www.w3.org/TR/trace-context/): version, 16 bytes of trace id,
8 bytes of span id, flags, in lower-case hexadecimal.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import Any

#: Later versions may have more fields behind these four; version ff is forbidden.
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_SAMPLED = 1


@dataclass(frozen=True, slots=True)
class Trace:
    """Where one piece of work stands in a trace: ids in hexadecimal; `sampled` asks those behind it to export."""

    trace_id: str
    span_id: str
    sampled: bool = True

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{_SAMPLED if self.sampled else 0:02x}"


request_id: ContextVar[str] = ContextVar("request_id", default="")
prediction_id: ContextVar[str] = ContextVar("prediction_id", default="")
trace: ContextVar[Trace | None] = ContextVar("trace", default=None)


def parse_trace(traceparent: str | None) -> Trace | None:
    """The trace that a header or a row names; None for what is none, which W3C has everybody ignore."""
    text = traceparent or ""
    found = _TRACEPARENT.fullmatch(text) if len(text) <= 256 else None
    if found is None or (text.startswith("00-") and len(text) != 55):
        return None
    trace_id, span_id, flags = found.groups()
    if not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return Trace(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))


def new_trace() -> Trace:
    """A trace that begins here; nobody asked for its spans."""
    return Trace(_hexadecimal(128), _hexadecimal(64), sampled=False)


def continued(parent: Trace) -> Trace:
    """A step of our own in the caller's trace."""
    return Trace(parent.trace_id, _hexadecimal(64), parent.sampled)


def _hexadecimal(bits: int) -> str:
    """Random, never all zero, and no secret: it has to be cheap."""
    return f"{random.getrandbits(bits) | 1:0{bits // 4}x}"


def trace_id() -> str:
    """The trace this thread works for, empty when none is known."""
    found = trace.get()
    return found.trace_id if found is not None else ""


def traceparent() -> str:
    """What to hand on, so that what happens elsewhere or later belongs to the same trace; empty when none is known."""
    found = trace.get()
    return found.traceparent if found is not None else ""


@contextmanager
def about(*, request_id: str = "", prediction_id: str = "", trace: Trace | None = None) -> Iterator[None]:
    """Everything logged inside carries these ids; an empty one leaves what is set outside."""
    given: tuple[tuple[ContextVar[Any], Any], ...] = (
        (_request_id, request_id),
        (_prediction_id, prediction_id),
        (_trace, trace),
    )
    tokens: list[tuple[ContextVar[Any], Token[Any]]] = []
    for variable, value in given:
        if value:
            tokens.append((variable, variable.set(value)))
    try:
        yield
    finally:
        for variable, token in tokens:
            variable.reset(token)


def name_prediction(identifier: object) -> None:
    """From here to the end of this request, what is logged is about this prediction."""
    prediction_id.set(str(identifier))


#: The arguments of `about` have the variables' own names.
_request_id, _prediction_id, _trace = request_id, prediction_id, trace
