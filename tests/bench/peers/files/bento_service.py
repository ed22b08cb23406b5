"""A service of BentoML. Runs inside BentoML alone."""

import os

import bentoml
import numpy as np


@bentoml.service(workers=1, traffic={"timeout": 30})
class Models:
    def __init__(self):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.sessions = {
            name: onnxruntime.InferenceSession(
                f"{os.environ['BENCH_MODELS']}/{name}.onnx", options, providers=["CPUExecutionProvider"]
            )
            for name in ("iris", "forest", "wide")
        }

    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=1000)
    def iris(self, x: np.ndarray) -> np.ndarray:
        return self._run("iris", x)

    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=1000)
    def forest(self, x: np.ndarray) -> np.ndarray:
        return self._run("forest", x)

    @bentoml.api(batchable=True, max_batch_size=2000, max_latency_ms=5000)
    def wide(self, x: np.ndarray) -> np.ndarray:
        return self._run("wide", x)

    def _run(self, name, rows):
        return self.sessions[name].run(None, {"x": rows.astype(np.float32)})[0]
