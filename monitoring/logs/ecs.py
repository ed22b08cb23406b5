"""One log line as JSON in the words of the Elastic Common Schema (ECS 8.11). No inputs, no secrets.

Names stand dotted and flat, as ECS logging writes them; the search store reads them as objects. What ECS has no word
for are labels: project, model, version, key, count, and the prediction's id.
"""

from __future__ import annotations

import json
import logging
import os
import socket
from datetime import UTC, datetime
from typing import Any

from monitoring.logs import context, redaction

VERSION = "8.11"
MOST_MESSAGE = 4000
#: Fields of `extra=` that are written, and how ECS calls them; whatever else a caller or a library attaches stays out.
FIELDS = {
    "action": "event.action",
    "method": "http.request.method",
    "path": "url.path",
    "status": "http.response.status_code",
    "project": "labels.project",
    "model": "labels.model",
    "version": "labels.version",
    "key": "labels.key",
    "count": "labels.count",
    "left_out": "labels.left_out",
    "code": "error.code",
}
_NUMBERS = frozenset(["http.response.status_code"])
#: Longest text of any field but the message and the stack, in characters.
_MOST_FIELD = 300

_host = socket.gethostname()
_service = "command"


def name_service(service: str) -> None:
    """Which kind of process this is: web, worker, keeper, beat; commands are none of them."""
    global _service
    _service = service


def service() -> str:
    return _service


def timestamp(seconds: float) -> str:
    """Microseconds, so that lines sort as they were written."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def document(record: logging.LogRecord) -> dict[str, Any]:
    """The line's fields, each of a bounded length."""
    message = _message(record)
    line: dict[str, Any] = {
        "@timestamp": timestamp(record.created),
        "log.level": record.levelname.lower(),
        "message": redaction.masked(message[:MOST_MESSAGE])[:MOST_MESSAGE],
        "ecs.version": VERSION,
        "service.name": _service,
        "host.name": _host,
        "process.pid": os.getpid(),
        "log.logger": record.name,
    }
    _add_extra(line, record)
    _add_ids(line)
    if record.exc_info and record.exc_info[1] is not None:
        _add_error(line, record.exc_info[1])
    return line


def _message(record: logging.LogRecord) -> str:
    if record.name == "celery.app.trace" and isinstance(record.args, dict):
        # Celery puts the error's words into the message, and its traceback behind them.
        given: dict[str, Any] = record.args
        return f"task {given.get('name')} [{given.get('id')}] {given.get('description', 'was traced')}"
    try:
        return record.getMessage()
    except Exception:
        return f"{record.msg} (its arguments do not fit)"


def _add_extra(line: dict[str, Any], record: logging.LogRecord) -> None:
    given = record.__dict__
    for name, field in FIELDS.items():
        value = given.get(name)
        if value is not None:
            line[field] = value if field in _NUMBERS else redaction.masked(str(value)[:_MOST_FIELD])
    if "duration_ms" in given:
        line["event.duration"] = int(given["duration_ms"] * 1_000_000)
    for name in ("prediction_id", "trace_id"):
        if given.get(name):
            line[_IDS[name]] = str(given[name])[:_MOST_FIELD]


_IDS = {"prediction_id": "labels.prediction_id", "trace_id": "trace.id"}


def _add_ids(line: dict[str, Any]) -> None:
    request_id, prediction_id, trace = context.request_id.get(), context.prediction_id.get(), context.trace.get()
    if request_id:
        line["http.request.id"] = request_id
    if prediction_id:
        line.setdefault("labels.prediction_id", prediction_id)
    if trace is not None and line.setdefault("trace.id", trace.trace_id) == trace.trace_id:
        line["span.id"] = trace.span_id


def _add_error(line: dict[str, Any], error: BaseException) -> None:
    line["error.type"] = type(error).__name__
    line["error.stack_trace"] = redaction.stack_of(error, error.__traceback__)[-MOST_MESSAGE:]
    said = redaction.message_of(error)
    if said:
        line["error.message"] = said
    identifier = getattr(error, "prediction_id", None)
    if identifier:
        line.setdefault("labels.prediction_id", str(identifier))


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON, at most about 10 kB, whatever it contains."""

    def format(self, record: logging.LogRecord) -> str:
        made = record.__dict__.get("ecs_line")
        if made is None:
            made = record.__dict__["ecs_line"] = json.dumps(document(record), default=str)
        return str(made)
