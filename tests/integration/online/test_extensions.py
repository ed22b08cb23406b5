"""The repository, statistics and configuration extensions, as Triton's clients ask for them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from models_registry import snapshot
from models_registry.models import ApiKey, DeploymentEvent, ModelVersion
from tests import cast, doors
from tests.integration.online.conftest import ask


class Client:
    """Calls with one key; (status, JSON or None)."""

    def __init__(self, secret: str) -> None:
        self.secret = secret

    def __call__(self, path: str, document: Any = None, *, method: str = "POST") -> tuple[int, Any]:
        body = b"" if document is None else json.dumps(document).encode()
        headers = {"Authorization": f"Bearer {self.secret}"}
        status, _, content = doors.call(doors.lane(), path, body, headers, method=method)
        return status, json.loads(content) if content else None

    def get(self, path: str) -> tuple[int, Any]:
        return self(path, method="GET")


@pytest.fixture
def client(adder: ModelVersion) -> Client:
    secret = ApiKey.issue(adder.model.project, "operator", scopes=["predict", "read", "manage"])[1]
    snapshot.refresh()
    return Client(secret)


def test_the_extensions_are_told(client: Client) -> None:
    told = client.get("/v2")[1]["extensions"]
    assert {"model_repository", "statistics", "model_configuration"} <= set(told)


def test_the_index_lists_ready_versions_and_whether_they_are_loaded(client: Client, adder: ModelVersion) -> None:
    cast.register("demo", "adder", cast.adder(2), alias=None)
    cast.register("elsewhere", "adder", cast.adder())
    snapshot.refresh()
    status, index = client("/v2/repository/index")
    assert status == 200
    assert [(entry["name"], entry["version"], entry["state"]) for entry in index] == [
        ("adder", "1", "READY"),
        ("adder", "2", "UNAVAILABLE"),
    ]
    assert [entry["version"] for entry in client("/v2/repository/index", {"ready": True})[1]] == ["1"]
    assert len(client("/v2/repository/index", {"ready": None})[1]) == 2
    assert client("/v2/repository/index", {"ready": 1})[0] == 400
    assert client("/v2/repository/index", [])[0] == 400


def test_an_unloaded_model_answers_nobody_until_it_is_loaded(client: Client, adder: ModelVersion) -> None:
    unload = {"parameters": {"unload_dependents": False}}
    assert client("/v2/repository/models/adder/unload", unload) == (200, None)
    assert client("/v2/models/adder/infer", ask([1, 2]))[0] == 404
    for part in ("", "/ready", "/config", "/stats", "/versions/1"):
        assert client.get(f"/v2/models/adder{part}")[0] == 404
    assert client("/v2/repository/index")[1] == [
        {"name": "adder", "version": "1", "state": "UNAVAILABLE", "reason": "unloaded"}
    ]
    assert not snapshot.current().versions
    assert client("/v2/repository/models/demo/adder/load", {}) == (200, None)
    assert client("/v2/models/adder/infer", ask([1, 2]))[0] == 200
    events = DeploymentEvent.objects.filter(model=adder.model).order_by("id").values_list("verb", flat=True)
    assert list(events)[-2:] == ["unloaded", "loaded"]


def test_loading_twice_changes_nothing(client: Client, adder: ModelVersion) -> None:
    before = DeploymentEvent.objects.count()
    assert client("/v2/repository/models/adder/load") == (200, None)
    assert DeploymentEvent.objects.count() == before


@pytest.mark.parametrize("verb", ["load", "unload"])
def test_who_may_not_manage_loads_nothing(secret: str, verb: str) -> None:
    assert Client(secret)(f"/v2/repository/models/adder/{verb}")[0] == 403
    assert Client("wrong")(f"/v2/repository/models/adder/{verb}")[0] == 401


def test_what_cannot_be_loaded_is_refused(client: Client) -> None:
    assert client("/v2/repository/models/nobody/load")[0] == 404
    assert client("/v2/repository/models/adder/versions/1/load")[0] == 404
    assert client("/v2/repository/models/other/adder/load")[0] == 404
    status, answer = client("/v2/repository/models/adder/load", {"parameters": {"config": "{}"}})
    assert (status, list(answer)) == (400, ["error"])


def test_statistics_count_calls_rows_and_runs(client: Client, adder: ModelVersion) -> None:
    before = client.get("/v2/models/adder/versions/1/stats")[1]["model_stats"][0]
    assert client("/v2/models/adder/infer", ask([1, 2], [3, 4]))[0] == 200
    assert client("/v2/models/adder/infer", ask([1, 2]))[0] == 200
    assert client("/v2/models/adder/infer", {"inputs": []})[0] == 400
    [stats] = client.get("/v2/models/adder/stats")[1]["model_stats"]
    assert (stats["name"], stats["version"]) == ("adder", "1")
    assert stats["inference_count"] - before["inference_count"] == 3
    assert stats["execution_count"] - before["execution_count"] == 2
    assert stats["last_inference"] > 1_600_000_000_000
    parts = {name: part["count"] - before["inference_stats"][name]["count"] for name, part in _parts(stats).items()}
    assert parts == {
        **{"success": 2, "fail": 1, "queue": 2, "compute_input": 2, "compute_infer": 2, "compute_output": 2},
        **{"cache_hit": 0, "cache_miss": 0},
    }
    spent = _parts(stats)
    pieces = ("queue", "compute_input", "compute_infer", "compute_output")
    assert sum(spent[name]["ns"] for name in pieces) <= spent["success"]["ns"]
    assert {batch["batch_size"] for batch in stats["batch_stats"]} == {1, 2}
    assert client.get("/v2/models/stats")[1]["model_stats"] == [stats]
    assert client.get("/v2/models/adder/versions/9/stats")[0] == 404
    assert client.get("/v2/models/nobody/stats")[0] == 404


def _parts(stats: dict[str, Any]) -> dict[str, dict[str, int]]:
    parts: dict[str, dict[str, int]] = stats["inference_stats"]
    return parts


def test_the_configuration_says_what_a_load_generator_asks(client: Client) -> None:
    status, config = client.get("/v2/models/adder/versions/champion/config")
    assert status == 200
    assert config["name"] == "adder"
    assert config["max_batch_size"] == 10_000
    assert config["input"] == [{"name": "input", "data_type": "TYPE_FP64", "dims": [2]}]
    assert config["output"][0] == {"name": "value", "data_type": "TYPE_FP64", "dims": [1], "reshape": {"shape": []}}
    assert "dynamic_batching" not in config


@pytest.mark.parametrize("path", ["/v2/logging", "/v2/trace/setting", "/v2/models/adder/trace/setting"])
def test_what_is_not_offered_says_so(client: Client, path: str) -> None:
    assert client.get(path)[0] == 501
    assert client(path, {})[0] == 501
