"""Lines of RabbitMQ, Redis and PostgreSQL in ECS words. Framework-free.

PostgreSQL quotes what clients sent: statements, parameters and details are left out, and so is every quoted word of an
error that is not the name of something in the database.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from monitoring.logs.redaction import masked

Fields = dict[str, Any]

_LEVELS = {
    **dict.fromkeys(("debug", "debug1", "debug2", "debug3", "debug4", "debug5", "."), "debug"),
    **dict.fromkeys(("info", "notice", "log", "none", "-", "*"), "info"),
    **dict.fromkeys(("warning", "#"), "warning"),
    "error": "error",
    **dict.fromkeys(("critical", "alert", "emergency", "fatal", "panic"), "critical"),
}
#: Redis: `2341:M 22 Nov 2026 19:24:00.123 * Ready to accept connections tcp`, in the host's own zone.
_REDIS = re.compile(r"(\d+):[A-Z] (\d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d\.\d{3}) ([.\-*#]) (.*)")
#: RabbitMQ's plain form, which it also writes before its configuration is read.
_RABBITMQ = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+[+-]\d\d:\d\d) \[(\w+)\] <[\d.]+> (.*)")
#: PostgreSQL on stderr with Debian's prefix `%m [%p]`.
_POSTGRESQL = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? \w+) \[(\d+)\] (?:\S+@\S+ )?([A-Z]+\d?): +(.*)")
#: Lines that go with the one before and quote what a client sent.
_QUOTING = frozenset(["DETAIL", "HINT", "QUERY", "CONTEXT", "STATEMENT", "LOCATION"])
_NAMED = re.compile(
    r"(\b(?:relation|table|column|constraint|database|role|user|index|schema|function|type|parameter|extension"
    r"|encoding|file|tablespace|publication|slot|host) )?\"([^\"]*)\"?"
)
_SENT = re.compile(r"\b(?:statement|execute|parse|bind|parameters)\b[^:]*: .*", re.DOTALL)
#: Class of SQLSTATE whose messages quote values without quotation marks as well.
_DATA = "22"


def fields_of(kind: str, text: str) -> Fields | None:
    """The fields of one line of this kind; None when it says nothing by itself."""
    if not text.strip():
        return None
    found = KINDS[kind](text)
    if found is None:
        return None
    found["message"] = masked(found["message"])
    return {**found, "service.name": kind, "ecs.version": "8.11"}


def _rabbitmq(text: str) -> Fields | None:
    entry = _json(text)
    if entry is not None:
        return {
            "@timestamp": _time(str(entry.get("time", ""))),
            "log.level": _level(entry.get("level")),
            "log.logger": str(entry.get("domain", "") or ""),
            "message": str(entry.get("msg", "")),
        }
    plain = _RABBITMQ.fullmatch(text)
    if plain:
        moment, level, message = plain.groups()
        return {"@timestamp": _time(moment), "log.level": _level(level), "message": message}
    # Its banner is indented.
    return None if text[:1].isspace() else {"message": text}


def _redis(text: str) -> Fields | None:
    found = _REDIS.fullmatch(text)
    if found is None:
        return None if text[:1].isspace() else {"message": text}
    pid, moment, mark, message = found.groups()
    try:
        at = datetime.strptime(moment, "%d %b %Y %H:%M:%S.%f").astimezone(UTC).isoformat()
    except ValueError:
        at = ""
    return {"@timestamp": at, "log.level": _level(mark), "process.pid": int(pid), "message": message}


def _postgresql(text: str) -> Fields | None:
    entry = _json(text)
    if entry is not None:
        state = str(entry.get("state_code") or "")
        fields: Fields = {
            "@timestamp": _time(str(entry.get("timestamp", ""))),
            "log.level": _level(entry.get("error_severity")),
            "log.logger": str(entry.get("backend_type") or ""),
            "process.pid": entry.get("pid"),
            "message": _without_values(str(entry.get("message", "")), state),
        }
        return fields if state in ("", "00000") else {**fields, "error.code": state}
    found = _POSTGRESQL.fullmatch(text)
    if found is None or found.group(3) in _QUOTING:
        return None
    moment, pid, severity, message = found.groups()
    return {
        "@timestamp": _time(moment),
        "log.level": _level(severity),
        "process.pid": int(pid),
        "message": _without_values(message, ""),
    }


def _without_values(message: str, state: str) -> str:
    if state.startswith(_DATA):
        message = message.partition(":")[0]
    message = _SENT.sub("…", message)
    return _NAMED.sub(lambda found: found.group(0) if found.group(1) else '"…"', message)


def _json(text: str) -> dict[str, Any] | None:
    if not text.startswith("{"):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _level(word: object) -> str:
    return _LEVELS.get(str(word).lower(), "info")


def _time(text: str) -> str:
    """ISO 8601; a zone that is no offset is the host's own, unless it says UTC."""
    moment, _, zone = text.rpartition(" ")
    try:
        if zone in ("UTC", "GMT"):
            return datetime.fromisoformat(moment).replace(tzinfo=UTC).isoformat()
        if zone.isalpha():
            return datetime.fromisoformat(moment).astimezone(UTC).isoformat()
        return datetime.fromisoformat(text).isoformat()
    except ValueError:
        return ""


KINDS: dict[str, Callable[[str], Fields | None]] = {
    "rabbitmq": _rabbitmq,
    "redis": _redis,
    "postgresql": _postgresql,
}
