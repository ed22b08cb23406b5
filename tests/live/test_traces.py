"""Spans of a running server arrive at a collector: the request and, behind the queue, the work done for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.test_services import FLOWER, IRIS
from tests.running import prepared_server
from tests.unit.test_tracing import Collector, attributes
from tests.waiting import eventually

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def collector() -> Iterator[Collector]:
    found = Collector()
    yield found
    found.close()


def test_request_and_work_are_one_trace_in_the_collector(tmp_path: Path, collector: Collector) -> None:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
    with prepared_server(tmp_path, environment=environment) as server:
        traceparent = f"00-{TRACE}-b7ad6b7169203331-01"
        status, answer = server.post("/v1/predictions", IRIS, Prefer="wait", traceparent=traceparent)
        assert (status, answer["status"]) == (201, "succeeded")
        status, _ = server.post("/v2/models/iris/infer", FLOWER)
        assert status == 200
        ours = eventually(
            lambda: len(found := [span for span in collector.spans if span.trace_id.hex() == TRACE]) == 2 and found
        )
        eventually(lambda: any(span.name.endswith("/infer") for span in collector.spans))
    by_name = {span.name: span for span in ours}
    request, work = by_name["POST /v1/predictions"], by_name["predict"]
    assert request.parent_span_id.hex() == "b7ad6b7169203331"
    assert work.parent_span_id == request.span_id
    assert attributes(work)["prediction.id"] == answer["id"]
    assert collector.services == {"serving-server"}
