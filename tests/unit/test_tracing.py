"""Traces: W3C's context in and out, and spans that arrive at a collector over OTLP."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from monitoring import tracing
from monitoring.logs import context

GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Collector:
    """A server that understands OTLP over HTTP and keeps the spans."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.services: set[str] = set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                outer.take(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def take(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            self.services |= {
                item.value.string_value for item in resource.resource.attributes if item.key == "service.name"
            }
            for scope in resource.scope_spans:
                self.spans += scope.spans

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


@pytest.fixture
def collector() -> Iterator[Collector]:
    found = Collector()
    yield found
    found.close()


def environ(**headers: str) -> dict[str, Any]:
    return {"REQUEST_METHOD": "POST", "PATH_INFO": "/v2/models/iris/infer", **headers}


def attributes(span: Any) -> dict[str, Any]:
    values = {item.key: item.value for item in span.attributes}
    return {key: value.string_value or value.int_value for key, value in values.items()}


def test_a_traceparent_is_read_and_written_as_w3c_says():
    trace = context.parse_trace(GIVEN)
    assert trace == context.Trace("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled=True)
    assert trace.traceparent == GIVEN
    step = context.continued(trace)
    assert step.trace_id == trace.trace_id
    assert step.span_id != trace.span_id
    assert context.parse_trace(step.traceparent) == step
    assert context.parse_trace(f"cc{GIVEN[2:]}-what-the-future-adds") == trace


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "00",
        f"ff{GIVEN[2:]}",
        f"{GIVEN}-extra",
        GIVEN.upper(),
        GIVEN.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32),
        GIVEN.replace("00f067aa0ba902b7", "0" * 16),
        f" {GIVEN}",
        f"{GIVEN}\n",
        "00-" + "x" * 100_000,
    ],
)
def test_what_is_no_traceparent_is_ignored(text):
    assert context.parse_trace(text) is None


def test_without_an_endpoint_ids_are_carried_and_nothing_is_made():
    assert tracing.background("", service="web") == []
    assert not tracing.is_on()
    with tracing.request(environ(HTTP_TRACEPARENT=GIVEN, HTTP_X_REQUEST_ID="r-1"), print) as answer:
        assert answer is print
        assert context.trace_id() == "4bf92f3577b34da6a3ce929d0e0e4736"
        assert context.traceparent() != GIVEN
        assert context.request_id.get() == "r-1"
    assert (context.trace_id(), context.request_id.get()) == ("", "")


def test_a_request_and_the_work_done_for_it_later_are_one_trace(collector):
    (exporting,) = tracing.background(collector.url, service="web")
    exporting.start()
    try:
        answered: list[Any] = []
        with tracing.request(environ(HTTP_TRACEPARENT=GIVEN), lambda *said: answered.append(said)) as answer:
            handed_on = context.traceparent()
            answer("503 Service Unavailable", [])
        facts = {"prediction.id": "p-1", "model": "iris"}
        tracing.done("predict", handed_on, began=1_700_000_000.0, ended=1_700_000_000.5, facts=facts, error="timeout")
    finally:
        exporting.stop(5)
    assert answered == [("503 Service Unavailable", [])]
    request, work = collector.spans
    assert collector.services == {"serving-web"}
    assert {span.trace_id.hex() for span in collector.spans} == {"4bf92f3577b34da6a3ce929d0e0e4736"}
    assert (request.parent_span_id.hex(), work.parent_span_id) == ("00f067aa0ba902b7", request.span_id)
    assert request.name == "POST /v2/models/{model}/infer"
    assert attributes(request)["http.response.status_code"] == 503
    assert attributes(work) == facts
    assert work.end_time_unix_nano - work.start_time_unix_nano == pytest.approx(5e8, rel=1e-3)
    assert (request.status.code, work.status.message) == (2, "timeout")


def test_a_caller_that_does_not_sample_is_followed(collector):
    (exporting,) = tracing.background(collector.url, service="web")
    exporting.start()
    try:
        with tracing.request(environ(HTTP_TRACEPARENT=f"{GIVEN[:-2]}00"), print):
            assert context.traceparent().endswith("-00")
            assert context.trace_id() == "4bf92f3577b34da6a3ce929d0e0e4736"
    finally:
        exporting.stop(5)
    assert collector.spans == []


def test_an_absent_collector_costs_spans_and_nothing_else():
    (exporting,) = tracing.background("http://127.0.0.1:9", service="web")
    exporting.start()
    try:
        with tracing.request(environ(), print):
            assert context.trace_id()
    finally:
        exporting.stop(0.1)
    assert not tracing.is_on()
