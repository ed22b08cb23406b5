"""Predictions in Replicate's shape: what a request asks for, and how a prediction is shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from models_registry.errors import InvalidInput
from predictions.protocols import cache_control, strict_json

PRIORITIES = ("interactive", "standard", "bulk")
#: Statuses that are over; `aborted` reads `canceled` here, because clients know five words only.
TERMINAL = ("succeeded", "failed", "canceled", "aborted")
DEADLINE_PASSED = "deadline passed"
#: The longest wait a client may ask for, seconds.
LONGEST_WAIT_S = 60.0
LONGEST_DEADLINE_S = 7 * 86_400.0

_FIELDS = frozenset(
    ["model", "version", "input", "priority", "webhook", "webhook_completed", "webhook_events_filter", "stream"]
)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h|d)?")
_KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")


class BadKey(InvalidInput):
    """An Idempotency-Key that is empty, too long or holds control characters."""

    code = "malformed"


@dataclass(frozen=True, slots=True)
class Wish:
    """A parsed request. `version_id` alone selects the model; otherwise `model` and `version` (number or alias)."""

    input: Any
    model: str | None = None
    version: str | None = None
    version_id: UUID | None = None
    priority: str = "standard"


@dataclass(frozen=True, slots=True)
class Manner:
    """How the client wants to be answered. Seconds; `wait_s` None: at once; `at_once`: 202 instead of 201.

    `cache` is what it asks of the response cache.
    """

    wait_s: float | None = None
    at_once: bool = False
    deadline_s: float | None = None
    idempotency_key: str | None = None
    cache: str = ""


@dataclass(frozen=True, slots=True)
class Sight:
    """What is shown of one prediction, wherever it was read. `input` and `output` are JSON."""

    id: UUID
    project: str
    model: str
    version: int
    version_id: UUID
    digest: str
    pool: str
    priority: str
    status: str
    input: bytes
    output: bytes | None
    error: str
    accepted_at: datetime
    deadline_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    inference_ms: float
    cache: str = ""

    @property
    def ended(self) -> bool:
        return self.status in TERMINAL

    def to_json(self) -> str:
        """One JSON document for a cache; ids and times are written as orjson writes them."""
        plain = {name: getattr(self, name) for name in self.__slots__ if name not in _OCTETS}
        plain["input"] = self.input.decode()
        plain["output"] = self.output.decode() if self.output is not None else None
        return orjson.dumps(plain).decode()

    @classmethod
    def from_json(cls, text: str) -> Sight:
        """Raises `ValueError`, `TypeError` or `KeyError` when the text is none of ours."""
        data = orjson.loads(text)
        for name in _TIMES:
            data[name] = datetime.fromisoformat(data[name]) if data[name] else None
        for name in ("id", "version_id"):
            data[name] = UUID(data[name])
        for name in _OCTETS:
            data[name] = data[name].encode() if data[name] is not None else None
        return cls(**data)


_OCTETS = frozenset(("input", "output"))
_TIMES = ("accepted_at", "deadline_at", "started_at", "completed_at")


@dataclass(frozen=True, slots=True)
class Queue:
    """Where a waiting prediction stands: `position` counts from 1, `eta_s` is a guess."""

    position: int
    eta_s: float


def parse(body: bytes, *, model: str | None = None) -> Wish:
    """The body of a POST; `model` is the one its path names. Raises `InvalidInput` naming the field."""
    data = strict_json.object_of(strict_json.loads(body), allowed=_FIELDS)
    for name in ("webhook", "webhook_completed", "webhook_events_filter", "stream"):
        if data.get(name) not in (None, False):
            raise InvalidInput(f"{name} is not offered", field=name)
    if "input" not in data:
        raise InvalidInput('"input" is missing', field="input")
    if model is not None and (data.get("model") is not None or data.get("version") is not None):
        raise InvalidInput("the path names the model; its champion answers", field="model")
    priority = data.get("priority")
    if priority is None:
        priority = "standard"
    if priority not in PRIORITIES:
        raise InvalidInput(f"priority is one of {', '.join(PRIORITIES)}", field="priority")
    named = _text(data, "model") if model is None else model
    version = _text(data, "version")
    if named is not None:
        return Wish(data["input"], model=named, version=version, priority=priority)
    if version is None:
        raise InvalidInput('name a "model", or a "version" by its id', field="model")
    try:
        # Also the client's own long form, owner/name:id.
        return Wish(data["input"], version_id=UUID(version.rpartition(":")[2]), priority=priority)
    except ValueError:
        raise InvalidInput("a version without a model is a version's id (a UUID)", field="version") from None


def manner(headers: Mapping[str, str], *, default_wait_s: float) -> Manner:
    """Read Prefer, Cancel-After and Idempotency-Key. Raises `InvalidInput` or `BadKey` naming the header."""
    wait_s, at_once = _prefer(headers.get("Prefer", ""), default_wait_s)
    after = headers.get("Cancel-After")
    key = headers.get("Idempotency-Key")
    return Manner(
        wait_s=wait_s,
        at_once=at_once,
        deadline_s=_duration(after) if after is not None else None,
        idempotency_key=_key(key) if key is not None else None,
        cache=cache_control.wish_of(headers.get("Cache-Control", "")),
    )


def show(sight: Sight, *, base: str, queue: Queue | None = None, as_waiting: bool = False) -> bytes:
    """One prediction as JSON. `base` is the URL prefix of the API; `as_waiting` shows an unfinished one as
    `starting`, because clients take `processing` for final after a wait."""
    return orjson.dumps(_shown(sight, base, queue, as_waiting))


def show_page(sights: list[Sight], *, base: str, following: str | None, previous: str | None) -> bytes:
    """One page of a listing; the cursors are whole URLs that clients request as they are."""
    shown = [_shown(sight, base, None, False) for sight in sights]
    return orjson.dumps({"previous": previous, "next": following, "results": shown})


def _shown(sight: Sight, base: str, queue: Queue | None, as_waiting: bool) -> dict[str, Any]:
    status, error = sight.status, sight.error or None
    if status == "aborted":
        status, error = "canceled", DEADLINE_PASSED
    elif as_waiting and not sight.ended:
        status = "starting"
    url = f"{base}/v1/predictions/{sight.id}"
    shown: dict[str, Any] = {
        "id": str(sight.id),
        "model": f"{sight.project}/{sight.model}",
        "version": str(sight.version_id),
        "version_number": sight.version,
        "digest": sight.digest,
        "status": status,
        "priority": sight.priority or None,
        "input": orjson.Fragment(sight.input),
        "output": orjson.Fragment(sight.output) if sight.output is not None else None,
        "logs": "",
        "error": error,
        "metrics": _metrics(sight),
        "created_at": _stamp(sight.accepted_at),
        "started_at": _stamp(sight.started_at),
        "completed_at": _stamp(sight.completed_at),
        "deadline": _stamp(sight.deadline_at),
        "data_removed": False,
        "urls": {"get": url, "cancel": f"{url}/cancel"},
    }
    if queue is not None and not sight.ended:
        shown["queue"] = {"position": queue.position, "eta_seconds": queue.eta_s}
    return shown


def _metrics(sight: Sight) -> dict[str, float] | None:
    if sight.completed_at is None:
        return None
    total = max(0.0, (sight.completed_at - sight.accepted_at).total_seconds())
    return {"predict_time": round(sight.inference_ms / 1000, 6), "total_time": round(total, 6)}


def _stamp(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z") if moment else None


def _text(data: Mapping[str, Any], name: str) -> str | None:
    value = data.get(name)
    if value is not None and (not isinstance(value, str) or not 1 <= len(value) <= 200):
        raise InvalidInput(f"{name} is a string", field=name)
    return value


def _prefer(header: str, default_wait_s: float) -> tuple[float | None, bool]:
    wait_s, at_once = None, False
    for part in header.split(","):
        name, equals, value = part.strip().partition("=")
        if name.strip().lower() == "respond-async":
            at_once = True
        elif name.strip().lower() == "wait":
            wait_s = _wait(value.strip()) if equals else default_wait_s
    return (None if at_once else wait_s), at_once


def _wait(value: str) -> float:
    if not value.isascii() or not value.isdigit() or len(value) > 4 or not 1 <= int(value) <= LONGEST_WAIT_S:
        raise InvalidInput("Prefer: wait=n takes 1 to 60 seconds", field="Prefer")
    return float(value)


def _duration(value: str) -> float:
    """`90s`, `1m`, `2h`, `500ms`, or bare seconds."""
    match = _DURATION.fullmatch(value.strip())
    seconds = float(match[1]) * _UNITS[match[2] or "s"] if match else 0.0
    if not 0 < seconds <= LONGEST_DEADLINE_S:
        raise InvalidInput("Cancel-After takes a duration such as 90s, 5m or 2h, up to 7d", field="Cancel-After")
    return seconds


def _key(value: str) -> str:
    key = value.strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not _KEY.fullmatch(key):
        raise BadKey("an Idempotency-Key is 1 to 255 visible ASCII characters", field="Idempotency-Key")
    return key
