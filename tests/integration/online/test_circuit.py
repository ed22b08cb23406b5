"""A version whose process keeps dying is refused for itself alone, until one call finds it well again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from models_registry import snapshot
from models_registry.models import ApiKey, ModelVersion
from models_registry.runtime import native
from monitoring.breaker import Breaker, Circuit
from serving_site import watching
from tests import cast, doors
from tests.integration.online.conftest import ask

Call = Callable[..., tuple[int, dict[str, str], Any]]


@pytest.fixture
def crashing(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelVersion]:
    """demo/crashing, whose process dies of `MAGIC`, and demo/adder beside it; two deaths are many here."""
    monkeypatch.setattr(native, "DEATHS", 2)
    monkeypatch.setattr(native, "FIRST_PAUSE_S", 30.0)
    monkeypatch.setattr(native, "LONGEST_PAUSE_S", 30.0)
    cast.register("demo", "adder", cast.adder())
    version = cast.register("demo", "crashing", cast.native("crashing"))
    snapshot.refresh()
    yield version
    snapshot.close()


@pytest.fixture
def call(crashing: ModelVersion, door: Any) -> Call:
    """POST to a model through the door; (status, headers, JSON)."""
    secret = ApiKey.issue(crashing.model.project, "tests", scopes=["predict"])[1]
    snapshot.refresh()

    def post(model: str, *row: float) -> tuple[int, dict[str, str], Any]:
        body, key = json.dumps(ask(list(row))).encode(), {"Authorization": f"Bearer {secret}"}
        status, headers, content = doors.call(door, f"/v2/models/{model}/infer", body, key)
        return status, headers, json.loads(content)

    return post


def breaker_of(version: ModelVersion) -> Breaker:
    return snapshot._holder.loaded.ready[version.pk].breaker  # type: ignore[attr-defined,no-any-return]


def test_a_version_that_keeps_crashing_is_refused_at_once_and_alone(call: Call, crashing: ModelVersion) -> None:
    for _ in range(2):
        status, _, answer = call("crashing", cast.MAGIC, 1)
        assert (status, "died" in answer["error"] or "ended" in answer["error"]) == (503, True), answer
    assert watching.version_circuits() == {("demo", "crashing", "1"): 1.0}
    status, headers, answer = call("crashing", 1, 2)
    assert (status, answer["error"].startswith("the model's process keeps dying")) == (503, True)
    assert 1 <= int(headers["retry-after"]) <= 30
    assert "x-prediction-id" not in headers, "nothing was predicted: it is only counted"
    assert call("adder", 1, 2)[0] == 200


def test_one_call_tries_for_all_and_ends_it(call: Call, crashing: ModelVersion) -> None:
    for _ in range(2):
        call("crashing", cast.MAGIC, 1)
    breaker = breaker_of(crashing)
    breaker._open_until = 0.0  # its pause is over
    assert breaker.admits()
    assert breaker.circuit() is Circuit.TRYING
    assert call("crashing", 1, 2)[0] == 503, "another one tries"
    breaker._open_until = 0.0  # it never told
    status, _, answer = call("crashing", 1, 2)
    assert (status, answer["outputs"][0]["data"]) == (200, [3.0])
    assert watching.version_circuits() == {("demo", "crashing", "1"): 0.0}


def test_inputs_the_model_refuses_close_it_and_do_not_open_it(crashing: ModelVersion) -> None:
    version = cast.register("demo", "raising", cast.native("raising"))
    snapshot.refresh()
    predictor = snapshot._holder.loaded.ready[version.pk]
    for _ in range(4):
        with pytest.raises(Exception, match="thirteen"):
            predictor.predict({"input": np.array([[cast.MAGIC, 1.0]])}, timeout=10)
    assert breaker_of(version).circuit() is Circuit.CLOSED
