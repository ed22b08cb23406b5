"""The services mode as a whole: one id followed through every server, and metrics that are right across processes."""

from __future__ import annotations

import http.client
import json
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest
import redis
from elasticsearch import ApiError, Elasticsearch
from kombu import Connection, Consumer, Exchange, Queue

from tests.services import Services
from tests.waiting import eventually

IRIS = {"model": "iris", "input": {"instances": [[6.7, 3.0, 5.2, 2.3]]}}
FLOWER = {"inputs": [{"name": "input", "shape": [1, 4], "datatype": "FP64", "data": [5.1, 3.5, 1.4, 0.2]}]}


class Tap:
    """A queue of its own beside the workers': what the exchange routes to a queue, it sees too."""

    def __init__(self, url: str, queue: str) -> None:
        self._connection = Connection(url)
        exchange = Exchange("serving", "topic", durable=True, passive=True)
        self._queue = Queue(f"tap-{uuid.uuid4().hex}", exchange, routing_key=queue, exclusive=True, auto_delete=True)
        self.messages: list[tuple[dict[str, Any], Any]] = []
        self._consumer = Consumer(
            self._connection.channel(), [self._queue], on_message=self._take, no_ack=True, accept=["json"]
        )
        self._consumer.consume()

    def _take(self, message: Any) -> None:
        self.messages.append((message.headers, json.loads(message.body)))

    def nudged(self, identifier: str) -> bool:
        """Whether a message named this id so far."""
        try:
            while True:
                self._connection.drain_events(timeout=0.05)
        except TimeoutError:
            return any(uuid.UUID(identifier).hex in body[0][1] for _, body in self.messages)

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def tap(services: Services) -> Iterator[Tap]:
    tapping = Tap(services.stack.servers["rabbitmq"].url, "predictions.default.standard")
    yield tapping
    tapping.close()


def test_one_id_is_found_in_every_place_it_passes(services: Services, tap: Tap) -> None:
    status, answer = services.post("/v1/predictions", IRIS, Prefer="wait")
    assert (status, answer["status"]) == (201, "succeeded")
    identifier = answer["id"]
    with psycopg.connect(services.stack.servers["postgres"].url) as rows:
        row = rows.execute(
            "SELECT status, started_at, completed_at FROM predictions_prediction WHERE id = %s", [identifier]
        ).fetchone()
    assert row is not None
    assert row[0] == "succeeded"
    assert row[1] is not None, "a worker claimed it"
    assert eventually(lambda: tap.nudged(identifier)), "RabbitMQ carried its nudge"
    kept = redis.Redis.from_url(services.stack.servers["redis-results"].url)
    assert eventually(lambda: list(kept.scan_iter(f"*{uuid.UUID(identifier).hex}*"))), "Redis has its hot result"
    records = Elasticsearch(services.stack.servers["elasticsearch"].url)
    day = time.strftime("%Y.%m.%d", time.gmtime(int(uuid.UUID(identifier).hex[:12], 16) / 1000))
    index = f"serving-predictions-default-{day}"

    def recorded() -> bool:
        with suppress(ApiError):  # the day's first record makes its index
            return bool(records.exists(index=index, id=identifier))
        return False

    assert eventually(recorded), "Elasticsearch has its record"
    assert records.get(index=index, id=identifier)["_source"]["status"] == "succeeded"
    found = eventually(lambda: services.get(f"/api/records/{identifier}")[0] == 200, limit=5)
    assert found
    assert services.get(f"/v1/predictions/{identifier}")[1]["output"] == answer["output"]


def test_a_record_is_found_within_five_seconds_of_its_answer(services: Services) -> None:
    _, headers, _ = services.request(
        "POST",
        "/v2/models/iris/infer",
        json.dumps(FLOWER).encode(),
        {"Authorization": f"Bearer {services.key}", "Content-Type": "application/json"},
    )
    identifier = headers["x-prediction-id"]

    def found() -> bool:
        _, page = services.get("/api/records?model=iris&limit=50")
        return any(record["id"] == identifier for record in page.get("results", []))

    eventually(found, limit=5)


def test_every_server_process_counts_into_one_sum(services: Services) -> None:
    before = counted(services, 'serving_predictions_total{model="breast_cancer"')
    row = [0.5] * 30
    body = {"inputs": [{"name": "input", "shape": [1, 30], "datatype": "FP64", "data": row}]}
    for _ in range(40):  # a connection each: both processes get some
        assert services.post("/v2/models/breast_cancer/infer", body)[0] == 200
    eventually(lambda: counted(services, 'serving_predictions_total{model="breast_cancer"') == before + 40)
    readings = {counted(services, 'serving_predictions_total{model="breast_cancer"') for _ in range(10)}
    assert readings == {before + 40}, "whichever process is asked says the same"
    buckets = counted(services, 'serving_prediction_seconds_count{model="breast_cancer"')
    assert buckets == before + 40
    assert len(services.workers) == 2


def test_workers_and_keeper_serve_their_own_metrics(services: Services) -> None:
    services.post("/v1/predictions", IRIS, Prefer="wait")
    worker = services.stack.processes["worker-standard"].plan.port
    assert 'serving_batch_rows_count{model="iris"' in scraped(worker)
    assert "serving_records_total" in scraped(services.stack.processes["keeper"].plan.port)


def test_health_names_every_dependency(services: Services) -> None:
    status, report = services.get("/health/ready")
    assert status == 200
    assert {"database", "queue", "cache", "record store", "spool"} <= set(report["parts"])
    # On a busy machine a part may just have been asked in vain; it is asked again each second.
    eventually(lambda: services.get("/health/ready")[1]["status"] == "ok", limit=20)


def counted(services: Services, prefix: str) -> float:
    """Sum of the series that begin so, labels in the order of their names."""
    text = in_order(services.request("GET", "/metrics")[2].decode())
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(prefix))


def scraped(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/metrics")
    return in_order(connection.getresponse().read().decode())


def in_order(text: str) -> str:
    """The samples of a scrape, each with its labels in the order of their names."""
    lines = []
    for line in text.splitlines():
        found = re.match(r"(\w+)\{(.*)\} (\S+)$", line)
        if found is None:
            lines.append(line)
            continue
        labels = ",".join(sorted(re.findall(r'\w+="[^"]*"', found[2])))
        lines.append(f"{found[1]}{{{labels}}} {found[3]}")
    return "\n".join(lines)
