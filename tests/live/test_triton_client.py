"""The unmodified Triton client, sync and aio, against a live server: health, metadata, ready, infer in every form."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient._plugin import InferenceServerClientPlugin

from tests.running import Server
from tests.waiting import eventually

IRIS = np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]])
CODINGS = pytest.mark.parametrize("coding", [None, "gzip", "deflate"])
BINARY = pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])


class Key(InferenceServerClientPlugin):  # type: ignore[misc]
    """The client's own way to send a header with every call."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: Any) -> None:
        request.headers["Authorization"] = f"Bearer {self._key}"


@pytest.fixture
def client(server: Server) -> Any:
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as found:
        found.register_plugin(Key(server.key))
        yield found


def _tensor(client: Any, module: Any, *, binary: bool, rows: int = 2) -> Any:
    metadata = client if isinstance(client, dict) else client.get_model_metadata("iris")
    [spec] = metadata["inputs"]
    values = np.resize(IRIS, (rows, 4)).astype({"FP32": np.float32, "FP64": np.float64}[spec["datatype"]])
    tensor = module.InferInput(spec["name"], list(values.shape), spec["datatype"])
    tensor.set_data_from_numpy(values, binary_data=binary)
    return tensor


def test_health_and_metadata(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("iris")
    assert client.is_model_ready("iris", "1")
    assert not client.is_model_ready("nobody")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    metadata = client.get_model_metadata("demo/iris", "champion")
    assert metadata["name"] == "iris"
    assert [output["name"] for output in metadata["outputs"]] == ["label", "probabilities"]


@BINARY
@CODINGS
def test_infer(client: Any, *, binary: bool, coding: str | None) -> None:
    outputs = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("label", "probabilities")]
    answer = client.infer(
        "iris",
        [_tensor(client, triton, binary=binary)],
        outputs=outputs,
        request_id="mine",
        request_compression_algorithm=coding,
        response_compression_algorithm=coding,
    )
    assert answer.get_response()["id"] == "mine"
    assert answer.get_response()["model_version"] == "1"
    assert answer.as_numpy("probabilities").shape == (2, 3)
    assert answer.as_numpy("probabilities").sum(axis=1) == pytest.approx([1, 1], abs=1e-5)
    assert len(set(answer.as_numpy("label").tolist())) == 2


@CODINGS
def test_a_large_answer_comes_in_the_coding_asked_for(client: Any, coding: str | None) -> None:
    tensor = _tensor(client, triton, binary=True, rows=1000)
    answer = client.infer("iris", [tensor], response_compression_algorithm=coding)
    assert answer.as_numpy("probabilities").shape == (1000, 3)


def test_all_outputs_come_when_none_is_named(client: Any) -> None:
    answer = client.infer("iris", [_tensor(client, triton, binary=True)])
    assert [output["name"] for output in answer.get_response()["outputs"]] == ["label", "probabilities"]


def test_the_best_classes_are_ranked_and_named(client: Any) -> None:
    wanted = [triton.InferRequestedOutput("probabilities", class_count=2)]
    found = client.infer("iris", [_tensor(client, triton, binary=True)], outputs=wanted).as_numpy("probabilities")
    assert found.shape == (2, 2)
    value, index, label = found[0, 0].decode().split(":")
    assert float(value) > 0.5
    assert (index, bool(label)) == ("0", True)


def test_a_raw_body_is_the_one_input(server: Server) -> None:
    status, headers, body = server.request(
        "POST",
        "/v2/models/iris/infer",
        IRIS.tobytes() if _is_double(server) else IRIS.astype(np.float32).tobytes(),
        {
            "Authorization": f"Bearer {server.key}",
            "Inference-Header-Content-Length": "0",
            "Content-Type": "application/octet-stream",
        },
    )
    assert status == 200, body
    length = int(headers["inference-header-content-length"])
    answer = triton.InferenceServerClient.parse_response_body(body, header_length=length)
    assert answer.as_numpy("probabilities").shape == (2, 3)


def _is_double(server: Server) -> bool:
    return bool(server.get("/v2/models/iris")[1]["inputs"][0]["datatype"] == "FP64")


def test_repository_statistics_and_configuration(client: Any) -> None:
    client.unload_model("diabetes")
    states = {entry["name"]: entry["state"] for entry in client.get_model_repository_index()}
    assert (states["diabetes"], states["iris"]) == ("UNAVAILABLE", "READY")
    client.load_model("diabetes")
    # Every process of the server loads it by itself, and each call may meet another one.
    eventually(lambda: all(client.is_model_ready("diabetes") for _ in range(10)))
    before = _successes(client.get_inference_statistics("iris", "1"))
    client.infer("iris", [_tensor(client, triton, binary=True)])
    assert _successes(client.get_inference_statistics("iris")) == before + 1
    eventually(lambda: len(client.get_inference_statistics()["model_stats"]) >= 4)
    config = client.get_model_config("iris")
    assert config["max_batch_size"] > 1
    assert config["input"][0]["dims"] == [4]
    with pytest.raises(triton.InferenceServerException):
        client.load_model("nobody")


def _successes(statistics: Any) -> int:
    [found] = statistics["model_stats"]
    return int(found["inference_stats"]["success"]["count"])


def test_the_aio_client_reads_repository_statistics_and_configuration(server: Server) -> None:
    async def talk() -> None:
        async with triton_aio.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
            client.register_plugin(Key(server.key))
            assert "iris" in [entry["name"] for entry in await client.get_model_repository_index()]
            await client.load_model("iris")
            assert _successes(await client.get_inference_statistics("iris", "1")) >= 0
            assert (await client.get_model_config("iris", "1"))["name"] == "iris"

    asyncio.run(talk())


def test_errors_are_told_in_the_clients_own_words(client: Any) -> None:
    with pytest.raises(triton.InferenceServerException, match="Model nobody not found") as caught:
        client.get_model_metadata("nobody")
    assert caught.value.status() == "404"
    with pytest.raises(triton.InferenceServerException, match="unknown output"):
        client.infer("iris", [_tensor(client, triton, binary=True)], outputs=[triton.InferRequestedOutput("nothing")])


@BINARY
@CODINGS
def test_the_aio_client(server: Server, *, binary: bool, coding: str | None) -> None:
    async def talk() -> Any:
        async with triton_aio.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
            client.register_plugin(Key(server.key))
            assert await client.is_server_live()
            assert await client.is_server_ready()
            assert await client.is_model_ready("iris")
            assert (await client.get_server_metadata())["name"]
            metadata = await client.get_model_metadata("iris")
            tensor = _tensor(metadata, triton_aio, binary=binary, rows=500)
            return await client.infer(
                "iris", [tensor], request_compression_algorithm=coding, response_compression_algorithm=coding
            )

    assert asyncio.run(talk()).as_numpy("probabilities").shape == (500, 3)
