"""MLServer: its scikit-learn runtime as documented, and a custom runtime around the ONNX file everybody has."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from serving_site.stack.server import free_port
from tests.bench.contenders import Call, oip_call
from tests.bench.peers.process import WORKS, Peer, fitted
from tests.bench.works import Work, model_file


class MLServer(Peer):
    """`parallel_workers` 0 runs the model in the server: on one core a second process only adds its pipe."""

    environment = "mlserver"
    switched = "metrics; no authentication, no records"

    def __init__(self, *, onnx: bool) -> None:
        self.name = "mlserver-onnx" if onnx else "mlserver-sklearn"
        self.label = "MLServer, ONNX in a custom runtime" if onnx else "MLServer, scikit-learn"
        self.runtime = "onnxruntime in a custom runtime" if onnx else "its scikit-learn runtime"
        self._onnx = onnx
        super().__init__()

    def prepare(self) -> None:
        settings = {"debug": False, "parallel_workers": 0, "host": "127.0.0.1", "http_port": self.port}
        settings |= {"grpc_port": free_port(), "metrics_port": free_port()}
        (self.folder / "settings.json").write_text(json.dumps(settings))
        if self._onnx:
            self.file("mlserver_onnx.py")
        for work in WORKS:
            place = self.folder / work.model
            place.mkdir()
            uri = str(model_file(work.model) if self._onnx else fitted(self.environment) / f"{work.model}.joblib")
            kind = "mlserver_onnx.OnnxModel" if self._onnx else "mlserver_sklearn.SKLearnModel"
            settings_of_model = {"name": work.model, "implementation": kind, "parameters": {"uri": uri}}
            (place / "model-settings.json").write_text(json.dumps(settings_of_model))

    def commands(self) -> Sequence[tuple[Sequence[str], Mapping[str, str]]]:
        return [([self.program("mlserver"), "start", str(self.folder)], {"PYTHONPATH": str(self.folder)})]

    def call(self, work: Work) -> Call:
        output = "" if self._onnx else "predict_proba"
        return oip_call(f"http://127.0.0.1:{self.port}/v2/models/{work.model}/infer", work, output=output)
