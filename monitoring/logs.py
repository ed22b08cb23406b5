"""Logs: one JSON object a line on stdout, with the request and the prediction it is about. No inputs, no secrets."""

from __future__ import annotations

import json
import logging
import logging.config
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponse

access = logging.getLogger("monitoring.access")

#: What a client may name its request: anything else is replaced by an id of ours.
REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
MOST_MESSAGE = 4000
#: Fields of `extra=` that are written; whatever else a caller or a library attaches stays out of the log.
FIELDS = (
    "action",
    "method",
    "path",
    "status",
    "duration_ms",
    "project",
    "model",
    "version",
    "key",
    "count",
)

#: Asked every few seconds by machines: only what is wrong with them is worth a line.
PROBES = ("/health/", "/metrics")

#: Statuses of 500 and above that are answers, not faults.
MEANT = frozenset([501, 503, 504])

_request_id: ContextVar[str] = ContextVar("request_id", default="")
_prediction_id: ContextVar[str] = ContextVar("prediction_id", default="")


@contextmanager
def about(*, request_id: str = "", prediction_id: str = "") -> Iterator[None]:
    """Everything logged inside carries these ids; an empty one leaves what is set outside."""
    tokens = [
        (variable, variable.set(given))
        for variable, given in ((_request_id, request_id), (_prediction_id, prediction_id))
        if given
    ]
    try:
        yield
    finally:
        for variable, token in tokens:
            variable.reset(token)


def name_prediction(prediction_id: object) -> None:
    """From here to the end of this request, what is logged is about this prediction."""
    _prediction_id.set(str(prediction_id))


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON, at most about 10 kB, whatever it contains."""

    def format(self, record: logging.LogRecord) -> str:
        try:
            message = record.getMessage()
        except Exception:
            message = f"{record.msg} (its arguments do not fit)"
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message[:MOST_MESSAGE],
        }
        for name in FIELDS:
            value = record.__dict__.get(name)
            if value is not None:
                line[name] = value
        if _request_id.get():
            line["request_id"] = _request_id.get()
        if _prediction_id.get():
            line["prediction_id"] = _prediction_id.get()
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = self.formatException(record.exc_info)[-MOST_MESSAGE:]
        return json.dumps(line, default=str)


class InProportion(logging.Filter):
    """Django calls each 5xx an error and each suspicious request one with a traceback. An answer that was meant is in
    the access log already, and what a stranger sends is worth a warning."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name == "django.request" and getattr(record, "status_code", None) in MEANT and not record.exc_info:
            return False
        if record.name.startswith("django.security."):
            record.levelno, record.levelname, record.exc_info = logging.WARNING, "WARNING", None
        return True


class AccessLog:
    """Django middleware: takes or mints the request's id, answers it, and logs one line when the answer is ready."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        started = time.perf_counter()
        outer = _prediction_id.set("")
        try:
            with about(request_id=request_id):
                response = self._get_response(request)
                self._log(request, response, time.perf_counter() - started)
        finally:
            _prediction_id.reset(outer)
        response.headers["X-Request-ID"] = request_id
        return response

    @staticmethod
    def _log(request: HttpRequest, response: HttpResponse, seconds: float) -> None:
        is_probe = request.path.startswith(PROBES) and response.status_code == 200
        access.log(
            logging.DEBUG if is_probe else logging.INFO,
            "%s %s",
            request.method,
            request.path,
            extra={
                "action": "answered",
                "method": request.method,
                "path": request.path[:300],
                "status": response.status_code,
                "duration_ms": round(seconds * 1000, 3),
            },
        )


def configure(config: dict[str, Any]) -> None:
    """Django's LOGGING_CONFIG: called once at start-up with settings.LOGGING."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"json": {"()": "monitoring.logs.JsonFormatter"}},
            "filters": {"in proportion": {"()": "monitoring.logs.InProportion"}},
            "handlers": {
                "stdout": {
                    "class": "logging.StreamHandler",
                    "stream": "ext://sys.stdout",
                    "formatter": "json",
                    "filters": ["in proportion"],
                }
            },
            "root": {"level": config["level"], "handlers": ["stdout"]},
            "loggers": {
                # One line per request is enough: these repeat what the access log says about 4xx and 5xx.
                "django.request": {"level": "ERROR"},
                "django.server": {"level": "ERROR"},
                "granian.access": {"level": "ERROR"},
                "elastic_transport": {"level": "WARNING"},
                "skl2onnx": {"level": "ERROR"},
            },
        }
    )
