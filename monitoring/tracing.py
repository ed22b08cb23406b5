"""Traces: W3C's context of every request that brings one, and spans through OpenTelemetry where an endpoint is set.

Without an endpoint nothing of OpenTelemetry is imported and no span is made; ids are carried on all the same, into
logs, ledger and records. Spans wait in a bounded queue for a thread: a collector that is away costs spans alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from monitoring.background import Background
from monitoring.logs import context
from monitoring.logs.context import Trace
from monitoring.logs.names import REQUEST_ID

logger = logging.getLogger(__name__)

StartResponse = Callable[..., Any]

#: Seconds for one answer of the collector.
EXPORT_S = 5
#: Paths with names inside, as the spans call them.
_INFER_PREFIX, _INFER_SUFFIX = "/v2/models/", "/infer"
_ROUTES = ("/v1/predictions", "/v1/models", "/v2", "/api", "/admin", "/health", "/metrics")

_tracer: Any = None


def is_on() -> bool:
    """True while spans are made in this process."""
    return _tracer is not None


class Exporting:
    """Makes and exports spans between `start` and `stop`; after a fork, because its thread does not survive one."""

    name = "tracing"

    def __init__(self, endpoint: str, *, service: str) -> None:
        """`endpoint` is the collector's base address (OTLP over HTTP)."""
        self._endpoint = endpoint.rstrip("/")
        self._service = service
        self._provider: Any = None

    def start(self) -> None:
        global _tracer
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        resource = Resource.create({"service.name": f"serving-{self._service}", "service.namespace": "serving"})
        self._provider = TracerProvider(resource=resource)
        exporter = OTLPSpanExporter(endpoint=f"{self._endpoint}/v1/traces", timeout=EXPORT_S)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        _tracer = self._provider.get_tracer("serving")

    def stop(self, timeout: float) -> None:
        """Export what waits, for at most `timeout` seconds."""
        global _tracer
        _tracer = None
        if self._provider is not None:
            self._provider.force_flush(int(timeout * 1000))
            self._provider.shutdown()
            self._provider = None


def background(endpoint: str, *, service: str) -> list[Background]:
    return [Exporting(endpoint, service=service)] if endpoint else []


@contextmanager
def request(environ: Mapping[str, Any], start_response: StartResponse) -> Iterator[StartResponse]:
    """Everything inside belongs to this WSGI request: its id, its trace, and where spans are made one of its own.

    Yields what to answer through, so that the span has the status.
    """
    given = environ.get("HTTP_X_REQUEST_ID", "")
    request_id = given if REQUEST_ID.fullmatch(given) else ""
    parent = context.parse_trace(environ.get("HTTP_TRACEPARENT"))
    if _tracer is None:
        trace = context.continued(parent) if parent else context.new_trace()
        with context.about(request_id=request_id, trace=trace):
            yield start_response
        return
    method = environ["REQUEST_METHOD"]
    route = route_of(environ["PATH_INFO"])
    span = _tracer.start_span(f"{method} {route}", context=_context(parent), kind=_kind("SERVER"))
    span.set_attributes({"http.request.method": method, "http.route": route})

    def answer(status: str, *rest: Any) -> Any:
        span.set_attribute("http.response.status_code", int(status[:3]))
        if status >= "500":
            span.set_status(_failed(status))
        return start_response(status, *rest)

    try:
        with context.about(request_id=request_id, trace=_trace_of(span)):
            yield answer
    finally:
        span.end()


def route_of(path: str) -> str:
    """The path without names and ids, so that spans are told apart by what they do."""
    if path.startswith(_INFER_PREFIX) and path.endswith(_INFER_SUFFIX):
        return "/v2/models/{model}/infer"
    return next((route for route in _ROUTES if path.startswith(route)), "/")


def done(name: str, traceparent: str, *, began: float, ended: float, facts: Mapping[str, Any], error: str = "") -> None:
    """A span for work that was done for an earlier request, between two times in seconds since the epoch."""
    if _tracer is None:
        return
    span = _tracer.start_span(
        name,
        context=_context(context.parse_trace(traceparent)),
        kind=_kind("CONSUMER"),
        attributes=dict(facts),
        start_time=int(began * 1e9),
    )
    if error:
        span.set_status(_failed(error))
    span.end(int(ended * 1e9))


def _context(parent: Trace | None) -> Any:
    from opentelemetry.context import Context
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    if parent is None:
        return Context()
    flags = TraceFlags(TraceFlags.SAMPLED if parent.sampled else TraceFlags.DEFAULT)
    known = SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(known), Context())


def _kind(name: str) -> Any:
    from opentelemetry.trace import SpanKind

    return SpanKind[name]


def _failed(why: str) -> Any:
    from opentelemetry.trace import Status, StatusCode

    return Status(StatusCode.ERROR, why)


def _trace_of(span: Any) -> Trace:
    known = span.get_span_context()
    return Trace(f"{known.trace_id:032x}", f"{known.span_id:016x}", bool(known.trace_flags & 1))
