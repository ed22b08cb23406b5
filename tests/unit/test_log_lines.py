"""What may stand in a line: no secret by name or shape, no words of an error that may quote an input; all bounded."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError

from monitoring.logs import redaction
from monitoring.logs.ecs import JsonFormatter
from monitoring.logs.lines import MOST_NAME, MOST_TEXT, SCHEMA, line_of
from serving_site import env, hidden

CANARY = "canary2208"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def hide() -> Iterator[Any]:
    before = redaction._secrets
    yield redaction.hide
    redaction.hide(before)


def logged(message: str, error: BaseException | None = None, **extra: Any) -> dict[str, Any]:
    facts = (type(error), error, error.__traceback__) if error is not None else None
    record = logging.getLogger("tests").makeRecord("tests", 40, "f", 1, message, (), facts, extra=extra)
    return dict(json.loads(JsonFormatter().format(record)))


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    """The error as it arrives after it was raised, below a frame of its own."""
    try:
        raise error from cause
    except type(error):
        found = sys.exc_info()[1]
        assert found is not None
        return found


def test_secrets_of_the_settings_are_masked_wherever_they_stand(hide):
    hide([f"{CANARY}-password", "short"])
    line = logged(f"cannot reach {CANARY}-password at once", path=f"/{CANARY}-password", action="x")
    assert CANARY not in str(line)
    assert line["message"] == f"cannot reach {redaction.MASK} at once"
    assert logged("a short word")["message"] == "a short word"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer sbk_{CANARY}",
        f"authorization=Basic {CANARY}",
        f"amqp://someone:{CANARY}@broker:5672//",
        f"redis://:{CANARY}@cache",
        f"the key sbk_{CANARY}{'x' * 30} was refused",
        f"password={CANARY}",
        f'{{"api_key": "{CANARY}"}}',
        f"token: {CANARY}",
    ],
)
def test_credentials_are_masked_by_their_shape(text):
    assert CANARY not in logged(text)["message"]


def test_ordinary_words_stay():
    for text in ("key sbk_a1b2c3d4 was revoked", "http://127.0.0.1:8000/health", "the token bucket is full"):
        assert logged(text)["message"] == text


def test_masking_long_text_takes_no_time():
    began = time.perf_counter()
    for text in ("a://" * 1000, "a-" * 2000, "password" * 500, "sbk_" * 1000, ":@/" * 1300):
        logged(text)
    assert time.perf_counter() - began < 5


def test_an_errors_words_are_left_out_when_they_may_quote_an_input():
    for error in (
        ValueError(f"could not convert {CANARY}"),
        IntegrityError(f"duplicate key\nDETAIL:  Key (name)=({CANARY}) exists"),
        KeyError(CANARY),
    ):
        line = logged("it failed", raised(error, ValueError(CANARY)))
        assert CANARY not in str(line)
        assert line["error.type"] == type(error).__name__
        assert "raise error from cause" in line["error.stack_trace"]
        assert "because of ValueError" in line["error.stack_trace"]


def test_an_errors_words_are_kept_when_a_server_or_the_system_says_them():
    refused = OperationalError("connection to server at 127.0.0.1 failed\nDETAIL: " + CANARY)
    assert logged("x", raised(refused))["error.message"] == "connection to server at 127.0.0.1 failed"
    assert "No such file" in logged("x", raised(FileNotFoundError(2, "No such file")))["error.message"]
    assert (
        "Connection refused" in logged("x", raised(ConnectionRefusedError(111, "Connection refused")))["error.message"]
    )


def test_celery_tells_of_a_failed_task_without_the_errors_words():
    facts = {
        "id": "t-1",
        "name": "predictions.run",
        "description": "raised unexpected",
        "exc": repr(ValueError(CANARY)),
    }
    message = "Task %(name)s[%(id)s] %(description)s: %(exc)s"
    record = logging.getLogger("celery.app.trace").makeRecord("celery.app.trace", 40, "f", 1, message, (facts,), None)
    line = json.loads(JsonFormatter().format(record))
    assert line["message"] == "task predictions.run [t-1] raised unexpected"
    assert CANARY not in str(line)


def test_a_deep_traceback_stays_bounded():
    def deeper(depth: int) -> None:
        if depth:
            deeper(depth - 1)
        raise ValueError(CANARY)

    with pytest.raises(ValueError, match=CANARY) as raised:
        deeper(300)
    assert len(json.dumps(logged("x", raised.value))) < 10_000


def test_an_error_names_the_prediction_it_is_about():
    error = raised(ValueError("x"))
    error.prediction_id = "p-1"  # type: ignore[attr-defined]
    assert logged("x", error)["labels.prediction_id"] == "p-1"


def test_secrets_are_found_in_every_setting_that_has_one():
    names = ("SECRET_KEY", "ELASTICSEARCH_API_KEY", "ARTIFACT_SECRET_KEY", "ADMIN_PASSWORD", "PRIVACY_KEY")
    values = SimpleNamespace(
        **{name: f"{CANARY}-{name}" for name in names},
        DATABASE_URL="postgres://u:one%40two@host,other/name",
        PORT=8000,
        DATA_DIR="folder",
        RABBITMQ_URL="amqp://u:three@a;amqp://u:four@b",
        REDIS_URL="redis+sentinel://:five@a:1,b:2/s/0",
        REDIS_RESULTS_URL="",
        ELASTICSEARCH_URL="https://u:six@a:9200,https://u:seven@b:9200",
    )
    found = hidden.secrets(values, "extra")
    expected = {"one%40two", "one@two", "three", "four", "five", "six", "seven", "extra"}
    assert set(found) == expected | {f"{CANARY}-{name}" for name in names}


def test_every_setting_that_sounds_like_a_secret_is_one():
    sounding = [name for name in env.VARIABLES if re.search("SECRET|PASSWORD|TOKEN|KEY", name)]
    values = SimpleNamespace(**{name: f"{CANARY}-{name}" for name in sounding})
    assert set(hidden.secrets(values)) >= {f"{CANARY}-{name}" for name in sounding} - {f"{CANARY}-ARTIFACT_ACCESS_KEY"}


def test_a_line_keeps_what_the_store_knows_and_bounds_it():
    line = line_of(
        {
            "message": "x" * 100_000,
            "http.request.id": "y" * 100_000,
            "process.pid": "seven",
            "http.response.status_code": True,
            "event.duration": 2**70,
            "inputs": [1],
            "log.level": "loud",
            "labels.model": "a\0\ud800",
            "@timestamp": "yesterday",
        },
        seed=b"s",
        now=NOW,
    )
    assert set(line.fields) <= set(SCHEMA)
    assert len(line.fields["message"]) == MOST_TEXT
    assert len(line.fields["http.request.id"]) == MOST_NAME
    assert {"process.pid", "http.response.status_code", "event.duration"}.isdisjoint(line.fields)
    assert (line.fields["log.level"], line.fields["labels.model"]) == ("info", "a\N{REPLACEMENT CHARACTER}?")
    assert (line.at, line.fields["@timestamp"]) == (NOW, "2026-03-01T12:00:00.000000Z")


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-03-01T13:00:01+00:00", ""])
def test_a_line_from_a_broken_clock_is_one_of_now(text):
    assert line_of({"@timestamp": text}, seed=b"", now=NOW).at == NOW


def test_ids_sort_as_their_lines_were_written():
    lines = [
        line_of({"@timestamp": (NOW + timedelta(microseconds=step)).isoformat()}, seed=bytes([step % 256]), now=NOW)
        for step in range(0, 3000, 7)
    ]
    assert [line.id for line in lines] == sorted(line.id for line in lines)
    assert len({line.id for line in lines}) == len(lines)
    assert {line.id.version for line in lines} == {7}
