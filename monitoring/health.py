"""Health: is the process alive (no dependency asked), is it ready, and how does each part do.

Parts of other rooms register a check here. A check runs in a thread of its own and gets one second; one that hangs
is not started again until it returns, so that probes never pile up behind a frozen service. Not ready (503) means
only that a *gate* (migrations, first snapshot) has never been passed, or that the process is draining: later
outages are "degraded" by name, or every server would leave at once when a shared service does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_all
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

LIMIT_S = 1.0
#: Seconds after which `states` asks a part again, however often it is called.
ASK_EVERY_S = 2.0
#: A thread is called silent when its work has not succeeded for this long, or five intervals if that is longer.
SILENT_S = 10.0


class State(Enum):
    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Part:
    """What a check says: a state and a sentence, "" when there is nothing to say."""

    state: State
    detail: str = ""


Check = Callable[[], Part]


@dataclass(slots=True)
class _Registered:
    """A check and what is known of it. `is_gate`: the process is not ready until it was once not down."""

    name: str
    check: Check
    is_gate: bool
    is_passed: bool = False
    running: Future[Part] | None = None
    asked_at: float = 0.0
    last: bool | None = None
    state: State | None = None
    since: float = 0.0
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "health"))


_lock = threading.Lock()
_parts: dict[str, _Registered] = {}
_draining = threading.Event()


def register(name: str, check: Check, *, is_gate: bool = False) -> None:
    """Add a part or replace it. `check` may raise: the part is then down with the exception's text."""
    with _lock:
        _parts[name] = _Registered(name, check, is_gate)


def unregister(name: str) -> None:
    with _lock:
        _parts.pop(name, None)


def drain() -> None:
    """From now on this process is not ready: it is stopping."""
    _draining.set()


def report() -> dict[str, Any]:
    """Every part with its state, within one second: {"status", "ready", "parts": {name: {"state", "detail", …}}}."""
    started = time.monotonic()
    with _lock:
        parts = list(_parts.values())
        asked = [(part, _ask(part)) for part in parts]
    wait_all([future for _, future in asked], timeout=LIMIT_S)
    found = {part.name: _judge(part, future) for part, future in asked}
    gates = {part.name for part in parts if part.is_gate and not part.is_passed}
    is_ready = not gates and not _draining.is_set()
    is_whole = all(part.state is State.OK for part in found.values())
    report: dict[str, Any] = {
        "status": ("ok" if is_whole else "degraded") if is_ready else "unavailable",
        "ready": is_ready,
        "parts": {name: {"state": part.state.value, "detail": part.detail} for name, part in found.items()},
        "took_ms": round((time.monotonic() - started) * 1000, 1),
    }
    if _draining.is_set():
        report["draining"] = True
    return report


def since() -> dict[str, float]:
    """When each part came into its state, in seconds since the epoch, as this process has noticed it."""
    with _lock:
        return {part.name: part.since for part in _parts.values() if part.state is not None}


def states() -> dict[str, bool]:
    """Whether each part is ok, as last heard; asks anew without waiting. A part not heard of yet is left out."""
    with _lock:
        for part in _parts.values():
            _hear(part)
        return {part.name: part.last for part in _parts.values() if part.last is not None}


def _hear(part: _Registered) -> None:
    """Take in what the check said, or that it hangs; ask again when that is old."""
    running, waited_s = part.running, time.monotonic() - part.asked_at
    if running is not None and (running.done() or waited_s > LIMIT_S):
        part.last = _judge(part, running).state is State.OK
    if running is None or waited_s > ASK_EVERY_S:
        _ask(part)


def _ask(part: _Registered) -> Future[Part]:
    if part.running is None or part.running.done():
        part.running, part.asked_at = part.pool.submit(part.check), time.monotonic()
    return part.running


def _judge(part: _Registered, future: Future[Part]) -> Part:
    found = _heard(future)
    if future.done():
        part.is_passed = part.is_passed or found.state is not State.DOWN
    if found.state is not part.state:
        part.state, part.since = found.state, time.time()
    return found


def _heard(future: Future[Part]) -> Part:
    if not future.done():
        return Part(State.DOWN, f"no answer within {LIMIT_S:g} s")
    error = future.exception()
    return Part(State.DOWN, f"{type(error).__name__}: {error}"[:300]) if error else future.result()
