"""LitServe with batching, the ONNX file inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from serving_site.stack.server import free_port
from tests.bench.contenders import Call, json_call
from tests.bench.peers.process import WORKS, Peer
from tests.bench.works import Work, model_file


class LitServe(Peer):
    """One process per model, as it serves one model at a port."""

    environment = "litserve"
    name = "litserve"
    label = "LitServe, ONNX"
    runtime = "onnxruntime"

    def __init__(self) -> None:
        super().__init__()
        self._ports = {work.model: free_port() for work in WORKS}

    def commands(self) -> Sequence[tuple[Sequence[str], Mapping[str, str]]]:
        script = f"{self.file('litserve_app.py')}.py"
        return [
            ([self.program("python"), script, str(model_file(model)), str(port)], {})
            for model, port in self._ports.items()
        ]

    def call(self, work: Work) -> Call:
        url = f"http://127.0.0.1:{self._ports[work.model]}/predict"
        return json_call(url, {"x": work.values}, lambda answer: answer["probabilities"])
