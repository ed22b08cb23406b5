"""Both doors give the same status, body and protocol headers."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from models_registry import snapshot
from models_registry.models import Alias, ModelVersion
from monitoring import metrics, spooling
from monitoring.ids import time_of
from monitoring.records import decode_call
from monitoring.spool import Reader
from tests import cast, doors
from tests.integration.online.conftest import Infer, ask


def test_a_row_is_answered(infer: Infer) -> None:
    status, headers, answer = infer()
    assert status == 200
    assert headers["content-type"] == "application/json"
    assert UUID(headers["x-prediction-id"]).version == 7
    assert answer["id"] == headers["x-prediction-id"]
    assert (answer["model_name"], answer["model_version"]) == ("adder", "1")
    assert answer["outputs"][0] == {"name": "value", "datatype": "FP64", "shape": [1], "data": [3.0]}


def test_the_clients_own_id_is_echoed_and_nulls_are_as_absent(infer: Infer) -> None:
    assert infer(ask([1, 2], id="mine"))[2]["id"] == "mine"
    status, headers, answer = infer(ask([1, 2], id=None, parameters=None, outputs=None))
    assert status == 200
    assert answer["id"] == headers["x-prediction-id"]


def test_only_the_outputs_asked_for_are_given(infer: Infer) -> None:
    answer = infer(ask([1, 2], outputs=[{"name": "version"}]))[2]
    assert [output["name"] for output in answer["outputs"]] == ["version"]
    status, _, answer = infer(ask([1, 2], outputs=[{"name": "nothing"}]))
    assert (status, list(answer)) == (400, ["error"])


@pytest.mark.parametrize("path", ["demo/adder", "adder/versions/1", "adder/versions/champion", "demo/adder/versions/1"])
def test_names_are_read_from_the_right(infer: Infer, path: str) -> None:
    assert infer(path=f"/v2/models/{path}/infer")[0] == 200


@pytest.mark.parametrize(
    "path", ["other/adder", "adder/versions/2", "adder/versions/nobody", "Adder", "a%00b", "x/y/z"]
)
def test_what_is_not_there_is_404(infer: Infer, path: str) -> None:
    status, headers, answer = infer(path=f"/v2/models/{path}/infer")
    assert (status, list(answer)) == (404, ["error"])
    assert "x-prediction-id" not in headers


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress], ids=["gzip", "deflate"])
def test_compressed_bodies_are_read(infer: Infer, pack: Any) -> None:
    coding = "gzip" if pack is gzip.compress else "deflate"
    body = pack(json.dumps(ask([1, 2])).encode())
    assert infer(body, Content_Encoding=coding)[0] == 200
    assert infer(body[:-3], Content_Encoding=coding)[0] == 400


def test_a_bomb_is_413_and_other_codings_are_415(infer: Infer) -> None:
    bomb = gzip.compress(b" " * (17 * 2**20))
    assert infer(bomb, Content_Encoding="gzip")[0] == 413
    for coding in ("br", "zstd", "gzip, gzip"):
        assert infer(b"x", Content_Encoding=coding)[0] == 415


def test_binary_in_and_out(infer: Infer) -> None:
    head = json.dumps(
        {
            "inputs": [{"name": "input", "shape": [2, 2], "datatype": "FP64", "parameters": {"binary_data_size": 32}}],
            "outputs": [{"name": "value", "parameters": {"binary_data": True}}, {"name": "version"}],
        }
    ).encode()
    tail = np.array([[1.0, 2.0], [3.0, 4.0]]).tobytes()
    status, headers, body = infer(head + tail, Inference_Header_Content_Length=str(len(head)))
    assert (status, headers["content-type"]) == (200, "application/octet-stream")
    size = int(headers["inference-header-content-length"])
    described = json.loads(body[:size])["outputs"]
    assert described[0]["parameters"] == {"binary_data_size": 16}
    assert np.frombuffer(body[size:]).tolist() == [3.0, 7.0]
    for length in ("-1", "x", str(len(head + tail) + 1), str(len(head) - 1)):
        assert infer(head + tail, Inference_Header_Content_Length=length)[0] == 400
    assert infer(head + tail + b"!", Inference_Header_Content_Length=str(len(head)))[0] == 400


def test_a_raw_body_is_the_one_input_and_all_outputs_are_binary(infer: Infer) -> None:
    status, headers, body = infer(np.array([1.0, 2.0]).tobytes(), Inference_Header_Content_Length="0")
    assert status == 200
    tail = body[int(headers["inference-header-content-length"]) :]
    assert np.frombuffer(tail[:8]).tolist() == [3.0]
    assert infer(b"123", Inference_Header_Content_Length="0")[0] == 400


def test_columns_may_come_by_name(infer: Infer) -> None:
    column = {"shape": [2, 1], "datatype": "FP64"}
    inputs = [{"name": "b", "data": [2, 4], **column}, {"name": "a", "data": [1, 3], **column}]
    assert infer({"inputs": inputs})[2]["outputs"][0]["data"] == [3.0, 7.0]
    assert infer({"inputs": inputs[:1]})[0] == 400


def test_text_and_missing_values(infer: Infer, adder: ModelVersion) -> None:
    cast.register("demo", "text", cast.text())
    snapshot.refresh()
    word = {"name": "word", "shape": [2, 1], "datatype": "BYTES", "data": ["é", None]}
    number = {"name": "number", "shape": [2, 1], "datatype": "FP64", "data": [None, 2]}
    status, _, answer = infer({"inputs": [word, number]}, path="/v2/models/text/infer")
    assert status == 200, answer
    assert [output["data"] for output in answer["outputs"]] == [["é", "missing"], [0.0, 2.0]]
    status, _, answer = infer(ask([1, None]))  # type: ignore[list-item]
    assert status == 400
    assert "row 0" in answer["error"].lower()


def test_a_wrong_shape_is_400_with_one_error_string(infer: Infer) -> None:
    for shape in ([2, 2], [1], [-1, 2], [2**62, 4], []):
        tensor = {"name": "input", "shape": shape, "datatype": "FP64", "data": [1, 2]}
        status, headers, answer = infer({"inputs": [tensor]})
        assert (status, list(answer), headers["content-type"]) == (400, ["error"], "application/json")


def test_no_version_goes_live_by_itself(infer: Infer, adder: ModelVersion) -> None:
    newer = cast.register("demo", "adder", cast.adder(2), alias=None)
    snapshot.refresh()
    assert infer()[2]["model_version"] == "1"
    assert infer(path="/v2/models/adder/versions/2/infer")[2]["outputs"][1]["data"] == [2]
    Alias.point(newer, "champion", who="tests")
    snapshot.refresh()
    assert infer()[2]["model_version"] == "2"


def test_a_model_that_answers_nan_is_400_and_recorded(infer: Infer, adder: ModelVersion) -> None:
    cast.register("demo", "nan", cast.native("nan"))
    snapshot.refresh()
    path = "/v2/models/nan/infer"
    assert infer(path=path)[0] == 200
    status, headers, _ = infer(ask([cast.MAGIC, 1]), path=path)
    assert (status, bool(headers["x-prediction-id"])) == (400, True)


@pytest.mark.parametrize(("kind", "status"), [("raising", 400), ("crashing", 503), ("hanging", 504)])
def test_a_models_own_failure_has_its_own_status(infer: Infer, adder: ModelVersion, kind: str, status: int) -> None:
    cast.register("demo", kind, cast.native(kind), hard_limit_s=1.0)
    snapshot.refresh()
    found, headers, answer = infer(ask([cast.MAGIC, 1]), path=f"/v2/models/{kind}/infer")
    assert (found, list(answer)) == (status, ["error"])
    assert UUID(headers["x-prediction-id"]).version == 7
    assert ("retry-after" in headers) == (status == 503)


def test_every_answer_and_every_failure_has_its_record_first(infer: Infer) -> None:
    ids = [UUID(infer(ask([1, 2], id="mine"))[1]["x-prediction-id"])]
    ids.append(UUID(infer(b"{")[1]["x-prediction-id"]))
    infer(path="/v2/models/nobody/infer")
    spooling.close()
    reader = Reader(spooling.directory())
    calls = [decode_call(payload) for _, payload in reader.batch(calls=100_000)]
    reader.close()
    found = {UUID(bytes=call.id): call for call in calls}
    assert [found[identifier].status for identifier in ids] == ["succeeded", "failed"]
    assert found[ids[0]].request_id == "mine"
    assert time_of(ids[0]) <= time_of(ids[1])


def test_a_call_that_was_cut_off_is_counted_and_leaves_no_record(infer: Infer) -> None:
    """As a proxy does whose connection broke while it sent: its client was told something else, or asks again."""
    before = metrics.value(metrics.REFUSALS, ("oip", "incomplete"))
    status, headers, answer = infer(json.dumps(ask([1, 2])).encode()[:-20], Content_Length="200")
    assert (status, list(answer)) == (400, ["error"])
    assert "x-prediction-id" not in headers
    assert metrics.value(metrics.REFUSALS, ("oip", "incomplete")) == before + 1


def test_refusals_are_only_counted(infer: Infer) -> None:
    before = metrics.value(metrics.REFUSALS, ("oip", "not_found"))
    infer(path="/v2/models/nobody/infer")
    assert metrics.value(metrics.REFUSALS, ("oip", "not_found")) == before + 1


def test_a_body_of_unknown_or_forbidden_length_is_refused_unread(infer: Infer) -> None:
    assert infer(Transfer_Encoding="chunked")[0] == 411
    assert infer(b" " * (16 * 2**20 + 1))[0] == 413


def test_other_verbs_and_paths_answer_in_the_familys_shape(adder: ModelVersion, secret: str) -> None:
    key = {"Authorization": f"Bearer {secret}"}
    for method, path, status in [("GET", "/v2/models/adder/infer", 405), ("POST", "/v2", 405), ("GET", "/v2/x", 404)]:
        found, headers, body = doors.call(doors.lane(), path, b"", key, method=method)
        assert (found, headers["content-type"], list(json.loads(body))) == (status, "application/json", ["error"])
