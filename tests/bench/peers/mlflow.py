"""MLflow's scoring server with its ONNX flavour."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

from serving_site.stack.server import free_port
from tests.bench.contenders import Call, json_call
from tests.bench.machine import TRAIN_S
from tests.bench.peers.process import WORKS, Peer
from tests.bench.works import Work, model_file


class MLflow(Peer):
    """One server per model, as it serves one model at a port."""

    environment = "mlflow"
    name = "mlflow"
    label = "MLflow, ONNX"
    runtime = "onnxruntime, its ONNX flavour"

    def __init__(self) -> None:
        super().__init__()
        self._ports = {work.model: free_port() for work in WORKS}

    def prepare(self) -> None:
        script = f"{self.file('mlflow_save.py')}.py"
        for work in WORKS:
            save = [self.program("python"), script, str(model_file(work.model)), str(self.folder / work.model)]
            subprocess.run(save, cwd=self.folder, check=True, timeout=TRAIN_S, capture_output=True)

    def commands(self) -> Sequence[tuple[Sequence[str], Mapping[str, str]]]:
        options = ["--env-manager", "local", "--host", "127.0.0.1", "--workers", "1"]
        tracking = {"MLFLOW_TRACKING_URI": f"sqlite:///{self.folder}/tracking.db", "MLFLOW_DISABLE_TELEMETRY": "true"}
        return [
            ([self.program("mlflow"), "models", "serve", "-m", model, "-p", str(port), *options], tracking)
            for model, port in self._ports.items()
        ]

    def call(self, work: Work) -> Call:
        url = f"http://127.0.0.1:{self._ports[work.model]}/invocations"
        return json_call(url, {"inputs": work.values}, lambda answer: answer["predictions"]["probabilities"])
