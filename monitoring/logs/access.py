"""One line for each request that Django answers, and the ids that everything logged meanwhile carries."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from monitoring.logs import context
from monitoring.logs.names import REQUEST_ID

access = logging.getLogger("monitoring.access")

#: Asked every few seconds by machines: only what is wrong with them is worth a line.
PROBES = ("/health/", "/metrics")


def _trace(request: HttpRequest) -> context.Trace:
    parent = context.parse_trace(request.headers.get("traceparent"))
    return context.continued(parent) if parent else context.new_trace()


class AccessLog:
    """Django middleware: takes or mints the ids of request and trace, answers the former, and logs one line."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        # In front of Django the request may have been given its trace already.
        trace = context.trace.get() or _trace(request)
        started = time.perf_counter()
        outer = context.prediction_id.set("")
        try:
            with context.about(request_id=request_id, trace=trace):
                response = self._get_response(request)
                self._log(request, response, time.perf_counter() - started)
        finally:
            context.prediction_id.reset(outer)
        response.headers["X-Request-ID"] = request_id
        return response

    @staticmethod
    def _log(request: HttpRequest, response: HttpResponse, seconds: float) -> None:
        is_probe = request.path.startswith(PROBES) and response.status_code == 200
        level = logging.DEBUG if is_probe else logging.INFO
        if not access.isEnabledFor(level):
            return
        principal = getattr(request, "auth", None)
        access.log(
            level,
            "%s %s",
            request.method,
            request.path,
            extra={
                "action": "answered",
                "method": request.method,
                "path": request.path,
                "status": response.status_code,
                "duration_ms": round(seconds * 1000, 3),
                "project": getattr(principal, "project", None),
                "key": getattr(principal, "key", None),
                "prediction_id": response.headers.get("X-Prediction-ID"),
            },
        )
