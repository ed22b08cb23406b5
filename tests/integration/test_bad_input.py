"""Bad input, by hand, through every door: a clear 4xx in the door's own shape that names row and column, and no row.

Among them the defects of other servers that `protocols.md` lists and that these doors could have.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from models_registry import snapshot
from models_registry.models import Alias, ApiKey
from predictions.models import Prediction
from tests import cast
from tests.doors import call, lane, view

INFER = "/v2/models/classifier/infer"
PREDICTIONS = "/v1/predictions"
KEY: dict[str, str] = {"Content-Type": "application/json"}
DOORS = pytest.mark.parametrize("door", [lane, view], ids=["lane", "view"])


@pytest.fixture(autouse=True)
def served(transactional_db: None) -> Iterator[None]:
    version = cast.register("demo", "classifier", cast.classifier())
    cast.register("demo", "text", cast.text())
    _, secret = ApiKey.issue(version.model.project, "tests", scopes=["predict", "read"])
    KEY["Authorization"] = f"Bearer {secret}"
    snapshot.refresh()
    yield
    snapshot.close()


def infer(door: Any, document: Any, *, path: str = INFER, **headers: str) -> tuple[int, Any]:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    status, given, content = call(door(), path, body, {**KEY, **named})
    assert given["content-type"] == "application/json"
    return status, json.loads(content)


def submit(document: Any, **headers: str) -> tuple[int, Any]:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    status, given, content = call(view(), PREDICTIONS, body, {**KEY, **named})
    if status >= 400:
        assert given["content-type"] == "application/problem+json"
    return status, json.loads(content)


def tensor(data: Any, **changes: Any) -> dict[str, Any]:
    rows = len(data) if isinstance(data, list) else 1
    return {"inputs": [{"name": "input", "shape": [rows, 2], "datatype": "FP32", "data": data, **changes}]}


BAD_ROWS = pytest.mark.parametrize(
    ("rows", "column"),
    [
        ([[1, 2], [3, None]], "b"),
        ([[1, 2], [3, "4"]], "b"),
        ([[1, 2], [True, 4]], "a"),
        ([[1, 2], [1e39, 4]], "a"),
        ([[1, 2], [3, 10**300]], "b"),
        ([[1, 2], [{}, 4]], "a"),
        ([[1, 2], [3]], None),
        ([[1, 2], [3, 4, 5]], None),
        ([[1, 2], 3], None),
    ],
)


@DOORS
@BAD_ROWS
def test_a_bad_row_is_named_online(door: Any, rows: Any, column: str | None) -> None:
    status, document = infer(door, tensor(rows))
    assert status == 400
    assert "row 1" in document["error"]
    assert column is None or f" {column}" in document["error"]


@BAD_ROWS
def test_a_bad_row_is_named_in_the_queue_and_leaves_nothing(rows: Any, column: str | None) -> None:
    status, document = submit({"model": "classifier", "input": {"instances": rows}})
    assert (status, document["code"]) == (422, "invalid_input")
    pointer = document["errors"][0]["pointer"]
    assert pointer.startswith("/input/instances/1")
    assert column is None or pointer == f"/input/instances/1/{column}"
    assert not Prediction.objects.exists()


def test_objects_are_told_which_column_is_unknown_or_missing() -> None:
    for row, column in (({"a": 1}, "b"), ({"a": 1, "b": 2, "c": 3}, "c")):
        status, document = submit({"model": "classifier", "input": {"instances": [{"a": 1, "b": 2}, row]}})
        assert (status, document["errors"][0]["pointer"]) == (422, f"/input/instances/1/{column}")


@pytest.mark.parametrize(
    "text",
    ["NaN", "-Infinity", "1e400", "[" * 100, '{"a":1,"a":2}', '"\\ud800"', '"\\u0000"', "9" * 5000, '"\udcff"'],
    ids=lambda text: ascii(text[:12]),
)
def test_what_is_no_strict_json_is_refused_by_every_door(text: str) -> None:
    online = b'{"inputs":[{"name":"input","shape":[1,2],"datatype":"FP32","data":[1,%s]}]}'
    queued = b'{"model":"classifier","input":{"instances":[[1,%s]]}}'
    raw = text.encode("utf-8", "surrogateescape")
    for door in (lane, view):
        assert infer(door, online % raw)[0] == 400
    assert submit(queued % raw)[0] in (400, 422)
    assert not Prediction.objects.exists()


@DOORS
def test_a_missing_value_is_taken_only_where_the_signature_says_so(door: Any) -> None:
    inputs = [
        {"name": "word", "shape": [2, 1], "datatype": "BYTES", "data": ["a", None]},
        {"name": "number", "shape": [2, 1], "datatype": "FP64", "data": [None, 1]},
    ]
    status, document = infer(door, {"inputs": inputs}, path="/v2/models/text/infer")
    assert status == 200
    assert [item["data"] for item in document["outputs"]] == [["a", "missing"], [0.0, 1.0]]
    assert infer(door, tensor([[1, None]]))[0] == 400


@DOORS
def test_a_million_values_are_refused_quickly(door: Any) -> None:
    body = json.dumps(tensor([0] * 1_000_000, shape=[500_000, 2])).encode()
    started = time.process_time()
    assert infer(door, body)[0] == 413
    assert infer(door, b"[" + b"0," * 4_000_000 + b"0]")[0] in (400, 413)
    assert submit({"model": "classifier", "input": {"instances": [[0, 0]] * 249_000}})[0] in (413, 422)
    assert submit({"model": "classifier", "input": {"instances": [0] * 1_000_000}})[0] in (413, 422)
    assert time.process_time() - started < 5
    assert not Prediction.objects.exists()


@DOORS
def test_bombs_are_refused_and_honest_gzip_is_taken(door: Any) -> None:
    bomb = gzip.compress(b" " * (64 * 2**20))
    assert infer(door, bomb, Content_Encoding="gzip")[0] == 413
    assert submit(bomb, Content_Encoding="gzip")[0] == 413
    honest = gzip.compress(json.dumps(tensor([[1, 2]])).encode())
    assert infer(door, honest, Content_Encoding="gzip")[0] == 200
    for coding in ("br", "zstd", "gzip, gzip"):
        assert infer(door, honest, Content_Encoding=coding)[0] == 415
        assert submit(honest, Content_Encoding=coding)[0] == 415


# Defects of other servers ----------------------------------------------------------------------------------------


@DOORS
def test_a_shape_that_its_data_does_not_fill_is_refused(door: Any) -> None:
    status, document = infer(door, tensor([1], shape=[2, 2]))
    assert status == 400
    assert "input" in document["error"]


@DOORS
def test_an_output_that_does_not_exist_is_refused(door: Any) -> None:
    status, document = infer(door, {**tensor([[1, 2]]), "outputs": [{"name": "nope"}]})
    assert status == 400
    assert "nope" in document["error"]


@DOORS
def test_only_the_outputs_asked_for_are_answered(door: Any) -> None:
    status, document = infer(door, {**tensor([[2, 1]]), "outputs": [{"name": "label"}]})
    assert status == 200
    assert [(item["name"], item["data"]) for item in document["outputs"]] == [("label", ["yes"])]


@DOORS
def test_every_refusal_has_the_same_shape(door: Any) -> None:
    for path, body, expected in (
        (INFER, b"", 400),
        (INFER, b"[]", 400),
        ("/v2/models/nobody/infer", b"{}", 404),
        ("/v2/models/classifier/versions/9/infer", b"{}", 404),
        ("/v2/nothing/at/all", b"{}", 404),
    ):
        status, document = infer(door, body, path=path)
        assert (status, list(document)) == (expected, ["error"])


@DOORS
def test_only_an_alias_changes_who_answers(door: Any) -> None:
    newer = cast.register("demo", "classifier", cast.classifier(), alias=None)
    snapshot.refresh()
    assert infer(door, tensor([[1, 2]]))[1]["model_version"] == "1"
    Alias.point(newer, "champion", who="tests")
    snapshot.refresh()
    assert infer(door, tensor([[1, 2]]))[1]["model_version"] == "2"
