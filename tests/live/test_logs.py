"""Logs of running servers: found by what they are about, from every process, and never a secret or an input in them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from elasticsearch import Elasticsearch

from tests.live.test_services import FLOWER, IRIS
from tests.running import ROOT, Server, clean_environment
from tests.services import Services
from tests.waiting import eventually

CANARY = "canary5512"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


def logged(server: Server, **query: Any) -> list[dict[str, Any]]:
    """The lines of the project as its key finds them."""
    headers = {"Authorization": f"Bearer {server.key}"}
    status, _, body = server.request("GET", f"/api/logs?{urlencode(query)}", headers=headers)
    assert status == 200, body
    return list(json.loads(body)["results"])


def record(server: Server, identifier: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {server.key}"}
    found = eventually(
        lambda: (answer := server.request("GET", f"/api/records/{identifier}", headers=headers))[0] == 200 and answer
    )
    return dict(json.loads(found[2]))


def stdout_of(server: Server) -> str:
    """What the processes wrote, without the banner, which shows the demo's own key on purpose."""
    folder = server.stack.root if isinstance(server, Services) else server.folder
    names = ("web", "worker", "keeper", "beat", "server")
    logs = [path for path in folder.glob("*.log") if path.name.startswith(names)]
    assert logs
    return "\n".join(
        line for path in logs for line in path.read_text(errors="replace").splitlines() if line.startswith("{")
    )


def spools_of(server: Server) -> bytes:
    return b"".join(path.read_bytes() for path in (server.folder / "log-spool").glob("*.spool"))


def test_a_trace_goes_through_the_queue_into_worker_log_and_record(server: Server) -> None:
    status, answer = server.post(
        "/v1/predictions", IRIS, Prefer="wait", traceparent=TRACEPARENT, **{"X-Request-ID": "log-r-1"}
    )
    assert (status, answer["status"]) == (201, "succeeded")
    assert record(server, answer["id"])["trace_id"] == TRACE
    found = eventually(lambda: logged(server, prediction_id=answer["id"]))
    assert {(line["trace.id"], line["event.action"], line["labels.model"]) for line in found} == {
        (TRACE, "batch_ran", "iris")
    }
    assert {line["id"] for line in found} <= {line["id"] for line in logged(server, trace_id=TRACE)}


def test_an_online_record_has_the_callers_trace_and_a_failure_a_line(server: Server) -> None:
    headers = {"Authorization": f"Bearer {server.key}", "traceparent": TRACEPARENT, "X-Request-ID": "log-r-2"}
    body = json.dumps(FLOWER).encode()
    status, answered, _ = server.request("POST", "/v2/models/iris/infer", body, headers)
    assert status == 200
    assert record(server, answered["x-prediction-id"])["trace_id"] == TRACE
    wrong = json.dumps({"inputs": [{**FLOWER["inputs"][0], "data": [CANARY, 1, 1, 1]}]}).encode()
    assert server.request("POST", "/v2/models/iris/infer", wrong, headers)[0] == 400
    (line,) = eventually(lambda: logged(server, request_id="log-r-2"))
    assert (line["error.code"], line["trace.id"], line["log.level"]) == ("invalid_input", TRACE, "info")
    assert record(server, line["labels.prediction_id"])["status"] == "failed"


def test_no_secret_and_no_input_is_in_any_log(server: Server) -> None:
    secret = server.key
    asks: list[tuple[str, Any, dict[str, str]]] = [
        ("/v2/models/iris/infer", {"inputs": [{**FLOWER["inputs"][0], "data": [CANARY] * 4}]}, {}),
        ("/v2/models/iris/infer", {"inputs": [{"name": CANARY}]}, {}),
        ("/v2/models/penguins/infer", {"inputs": CANARY}, {}),
        ("/v1/predictions", {"model": "iris", "input": {"instances": [[CANARY, 1, 2, 3]]}}, {}),
        ("/v1/predictions", {"model": "iris", "input": {CANARY: CANARY}}, {}),
        ("/v1/predictions", {**IRIS, "input": {"instances": [{CANARY: 1}]}}, {}),
        (f"/v1/predictions?token={CANARY}", IRIS, {}),
        ("/v1/predictions", IRIS, {"Authorization": f"Bearer sbk_{CANARY}{'x' * 40}"}),
        ("/api/models", {"name": "x"}, {"Authorization": f"Basic {CANARY}{CANARY}"}),
        ("/api/models", IRIS, {"Cookie": f"sessionid={CANARY}"}),
    ]
    for path, body, headers in asks:
        given = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json", **headers}
        assert server.request("POST", path, json.dumps(body).encode(), given)[0] < 500
    marker = f"after-{time.time_ns()}"
    headers = {"Authorization": f"Bearer {secret}", "X-Request-ID": marker}
    assert server.request("GET", "/api/models", headers=headers)[0] == 200
    eventually(lambda: logged(server, request_id=marker))
    stored, cursor = [], ""
    while True:
        page = json.loads(
            server.request("GET", f"/api/logs?limit=200{cursor}", headers={"Authorization": f"Bearer {secret}"})[2]
        )
        stored += page["results"]
        if not page["cursor"]:
            break
        cursor = f"&cursor={page['cursor']}"
    written, spooled = stdout_of(server), spools_of(server)
    assert marker in written
    assert marker.encode() in spooled
    for name, where in (("stdout", written), ("spool", spooled.decode(errors="replace")), ("store", str(stored))):
        for canary in (CANARY, secret, server.credentials["admin"]["password"]):
            assert canary not in where, name
    for text in written.splitlines():
        assert {"@timestamp", "log.level", "message", "service.name"} <= json.loads(text).keys()


def test_every_process_and_server_is_heard(services: Services) -> None:
    wanted = {"web", "worker", "keeper", "beat", "rabbitmq", "redis", "postgresql"}

    def heard() -> set[str]:
        with Elasticsearch(services.stack.environment["ELASTICSEARCH_URL"]) as client:
            answer = client.search(
                index="serving-logs-*", size=0, aggs={"by": {"terms": {"field": "service.name", "size": 50}}}
            )
        return {bucket["key"] for bucket in answer["aggregations"]["by"]["buckets"]}

    assert eventually(lambda: wanted <= heard() and heard()) >= wanted
    assert "server" not in heard()


def test_a_keeper_that_reaches_nothing_says_so_without_a_password(tmp_path: Path) -> None:
    environment = clean_environment(
        tmp_path,
        DATABASE_URL=f"postgres://someone:{CANARY}-db@127.0.0.1:9/serving",
        RABBITMQ_URL=f"amqp://someone:{CANARY}-mq@127.0.0.1:9//",
        REDIS_URL=f"redis://someone:{CANARY}-redis@127.0.0.1:9/0",
        ELASTICSEARCH_URL=f"http://someone:{CANARY}-es@127.0.0.1:9",
        SECRET_KEY=f"{CANARY}-secret",
        ANONYMOUS_PROJECT="-",
    )
    command = [sys.executable, str(ROOT / "manage.py"), "keep"]
    log = tmp_path / "keeper.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, env={**environment, "DRAIN_S": "2"}, stdout=file, stderr=file)
    try:
        eventually(lambda: log.read_text().count('"error"') >= 3, limit=40)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    spooled = b"".join(path.read_bytes() for path in (tmp_path / "log-spool").glob("*.spool"))
    assert b"keeper begins" in spooled
    assert CANARY not in log.read_text()
    assert CANARY.encode() not in spooled
