"""The demo server does what its banner says: the three calls as printed, four models, nothing native in the server."""

from __future__ import annotations

import json
import shlex
import time
from typing import Any

import pytest

from serving_site import banner
from tests.chaos.memory import libraries
from tests.running import Server
from tests.services import Services

MODELS = ("iris", "breast_cancer", "diabetes", "penguins")


def printed_calls(server: Server) -> list[list[str]]:
    """The `curl` lines of the banner as a shell would split them."""
    text = banner.text(server.url, server.credentials, 1.0)
    return [shlex.split(line) for line in text.splitlines() if line.startswith("  curl ")]


def perform(server: Server, words: list[str]) -> tuple[int, Any]:
    """What curl does with such a line: the address, each -H, and a POST where there is a -d."""
    assert words[:2] == ["curl", "-s"]
    path = words[2].removeprefix(server.url)
    options = list(zip(words[3::2], words[4::2], strict=True))
    headers = dict(value.split(": ", 1) for name, value in options if name == "-H")
    body = next((value.encode() for name, value in options if name == "-d"), None)
    status, _, answer = server.request("POST" if body else "GET", path, body, headers)
    return status, json.loads(answer)


def test_the_three_printed_calls_work_as_they_stand(server: Server) -> None:
    online, queued, search = printed_calls(server)
    status, answer = perform(server, online)
    assert status == 200, answer
    outputs = {item["name"]: item["data"] for item in answer["outputs"]}
    assert outputs["label"] == ["setosa"]
    assert sum(outputs["probabilities"]) == pytest.approx(1, abs=1e-5)
    status, prediction = perform(server, queued)
    assert (status, prediction["status"], prediction["output"]["label"]) == (201, "succeeded", ["virginica"])
    wanted = {answer["id"], prediction["id"]}
    # What a record may take to be found: two seconds embedded, five through Elasticsearch.
    give_up = time.monotonic() + (5.0 if isinstance(server, Services) else 2.0)
    while True:
        status, found = perform(server, search)
        if (status == 200 and {record["id"] for record in found["results"]} == wanted) or time.monotonic() > give_up:
            break
        time.sleep(0.1)
    assert status == 200, found
    assert {record["id"] for record in found["results"]} == wanted
    assert {record["door"] for record in found["results"]} == {"online", "queued"}


@pytest.mark.parametrize("model", MODELS)
def test_each_demo_model_is_compiled_and_ready(model: str, server: Server) -> None:
    assert server.get(f"/v2/models/{model}/ready")[0] == 200
    status, found = server.get(f"/api/models/{model}/versions")
    assert status == 200
    assert [version["runtime"] for version in found["results"]] == ["onnx"]


def test_the_server_never_loads_what_trains_models(server: Server) -> None:
    for pid in server.pids:
        assert not libraries(pid) & {"sklearn", "skops", "scipy", "pandas"}
