"""A line of the log as a value: its fields in ECS words, and an id made of its time and its bytes. Framework-free.

The same line read again has the same id, so nothing that happens between store and source can keep it twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from monitoring import ids

#: Fields that are kept, and how: "name" is compared whole, "text" is searched by its words.
SCHEMA: dict[str, str] = {
    "@timestamp": "time",
    "message": "text",
    **dict.fromkeys(("error.message", "error.stack_trace"), "text"),
    **dict.fromkeys(("process.pid", "http.response.status_code", "event.duration"), "number"),
    **dict.fromkeys(
        (
            *("ecs.version", "log.level", "log.logger", "service.name", "host.name", "event.action"),
            *("http.request.method", "http.request.id", "url.path", "trace.id", "span.id", "error.type", "error.code"),
            *("labels.project", "labels.model", "labels.version", "labels.key", "labels.count"),
            *("labels.prediction_id", "labels.left_out"),
        ),
        "name",
    ),
}
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
MOST_TEXT = 10_000
MOST_NAME = 512
#: A line from a clock further ahead than this is taken for one of now: its index must not outlive all others.
_AHEAD = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line; `fields` has names of `SCHEMA` only, each value of its kind and bounded."""

    id: UUID
    fields: Mapping[str, Any]

    @property
    def at(self) -> datetime:
        return ids.time_of(self.id)

    def text(self, name: str) -> str:
        """A field as text, empty when the line does not have it."""
        value = self.fields.get(name)
        return "" if value is None else str(value)


def line_of(fields: Mapping[str, Any], *, seed: bytes, now: datetime | None = None) -> LogLine:
    """The line with these fields. `seed` tells equal lines apart: where this one was read.

    What is unknown, of another kind or too long is left out or cut; a line without a usable time is one of `now`.
    """
    now = now or datetime.now(UTC)
    kept = {name: value for name, value in ((name, _kept(name, fields[name])) for name in fields) if value is not None}
    moment = _moment(kept.get("@timestamp"), now)
    kept["@timestamp"] = moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
    if kept.get("log.level") not in LEVELS:
        kept["log.level"] = "info"
    kept.setdefault("message", "")
    return LogLine(_identify(moment, seed), kept)


def _kept(name: str, value: Any) -> Any:
    kind = SCHEMA.get(name)
    if kind is None or value is None or value == "":
        return None
    if kind == "number":
        is_number = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
        return value if is_number else None
    text = value if isinstance(value, str) else str(value)
    text = text[: MOST_TEXT if kind == "text" else MOST_NAME].replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text.encode("utf-8", "replace").decode()


def _moment(text: str | None, now: datetime) -> datetime:
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return now
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC) if datetime(2000, 1, 2, tzinfo=UTC) < moment < now + _AHEAD else now


def _identify(moment: datetime, seed: bytes) -> UUID:
    """A UUIDv7 of the line's microsecond (RFC 9562, 6.2, method 3: the fraction stands in the 12 bits behind the
    version) and of the seed's hash."""
    milliseconds, fraction = divmod(int((moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1)), 1000)
    tail = int.from_bytes(hashlib.blake2b(seed, digest_size=8).digest(), "big") & 0x3FFF_FFFF_FFFF_FFFF
    return UUID(int=milliseconds << 80 | 0x7 << 76 | (fraction * 4096 // 1000) << 64 | 0x2 << 62 | tail)
