"""Logs: every line is JSON, carries what it is about, and holds no inputs and no secrets."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils.log import log_response

from monitoring import logs
from monitoring.logs.ecs import MOST_MESSAGE, JsonFormatter


def formatted(message: str, *args: object, level: int = logging.INFO, **extra: object) -> dict[str, object]:
    record = logging.getLogger("tests").makeRecord("tests", level, "f", 1, message, args, None, extra=extra)
    line = JsonFormatter().format(record)
    assert "\n" not in line
    return json.loads(line)


def test_a_line_has_a_sentence_and_a_machine_action():
    line = formatted("moved %d records", 3, action="records_moved", project="demo")
    assert (line["message"], line["event.action"], line["labels.project"]) == (
        "moved 3 records",
        "records_moved",
        "demo",
    )
    assert (line["log.level"], line["log.logger"], line["service.name"]) == ("info", "tests", "command")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["@timestamp"])


@pytest.mark.parametrize("text", ["a\r\nforged: line", "\x1b[31mred", "\x00", "\ud800", "x" * 1_000_000, "%s %s"])
def test_hostile_text_stays_inside_its_line(text):
    line = formatted("%s", text)
    assert len(json.dumps(line)) < 40_000
    assert line["message"] == text[:MOST_MESSAGE]


def test_arguments_that_do_not_fit_are_no_lost_line():
    assert "do not fit" in formatted("%d", "x")["message"]


def test_what_is_not_named_is_not_written():
    assert "authorization" not in formatted("x", authorization="Bearer secret", inputs=[1, 2])


def test_ids_are_on_every_line_inside_and_on_none_outside():
    with logs.about(request_id="r-1"):
        with logs.about(prediction_id="p-1"):
            line = formatted("x")
            assert (line["http.request.id"], line["labels.prediction_id"]) == ("r-1", "p-1")
        assert "labels.prediction_id" not in formatted("x")
    assert "http.request.id" not in formatted("x")


@pytest.mark.parametrize(
    ("sent", "is_kept"), [("my-id:7", True), ("x" * 128, True), ("x" * 129, False), ("a b", False)]
)
def test_a_request_keeps_its_id_when_it_is_one(caplog, sent, is_kept):
    with caplog.at_level(logging.INFO, logger="monitoring.access"):
        answer = Client().get("/robots.txt?secret=1", headers={"x-request-id": sent})
    assert (answer["X-Request-ID"] == sent) is is_kept
    (line,) = [record for record in caplog.records if record.name == "monitoring.access"]
    assert (line.path, line.status) == ("/robots.txt", 200)
    assert "secret" not in JsonFormatter().format(line)


def test_probes_that_are_well_leave_no_line(caplog):
    with caplog.at_level(logging.INFO, logger="monitoring.access"):
        Client().get("/health/live")
    assert not [record for record in caplog.records if record.name == "monitoring.access"]


@pytest.fixture
def written() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """The lines that the configured handler has written since."""
    [handler] = [
        one
        for one in logging.getLogger().handlers
        if isinstance(one, logging.StreamHandler) and isinstance(one.formatter, JsonFormatter)
    ]
    stream = io.StringIO()
    before = handler.setStream(stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    handler.setStream(before)


def test_a_wrong_host_is_one_warning_without_a_traceback(written):
    assert Client().get("/v1/predictions", headers={"host": "evil.example"}).status_code == 400
    assert [(line["log.level"], "error.type" in line) for line in written() if line["log.level"] != "info"] == [
        ("warning", False)
    ]


def test_an_answer_that_is_meant_is_no_error_of_ours(written):
    for status in (501, 503, 504):
        log_response("Service Unavailable: /health/ready", response=HttpResponse(status=status))
    assert written() == []
    log_response("Internal Server Error: /", response=HttpResponse(status=500))
    assert [line["log.level"] for line in written()] == ["error"]
