"""BentoML with adaptive batching, the ONNX file inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.bench.contenders import Call, json_call
from tests.bench.peers.process import Peer
from tests.bench.works import FOLDER, Work


class BentoML(Peer):
    environment = "bentoml"
    name = "bentoml"
    label = "BentoML, adaptive batching, ONNX"
    runtime = "onnxruntime"
    switched = "metrics, adaptive batching; no authentication, no records"

    def commands(self) -> Sequence[tuple[Sequence[str], Mapping[str, str]]]:
        service = self.file("bento_service.py")
        command = [self.program("bentoml"), "serve", f"{service}:Models", "--host", "127.0.0.1", "--port"]
        quiet = {"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(self.folder / "home"), "BENCH_MODELS": str(FOLDER)}
        return [([*command, str(self.port)], quiet)]

    def call(self, work: Work) -> Call:
        return json_call(f"http://127.0.0.1:{self.port}/{work.model}", {"x": work.values}, lambda answer: answer)
