"""Triton's python backend: a batch of requests as one call of the model. Runs inside Triton alone."""

import json
import os
import sys

sys.path[:0] = [os.environ["BENCH_PACKAGES"]]

import numpy  # noqa: E402
import triton_python_backend_utils as triton  # noqa: E402


class TritonPythonModel:
    def initialize(self, args):
        file = json.loads(args["model_config"])["parameters"]["file"]["string_value"]
        self.predict = _onnx(file) if file.endswith(".onnx") else _sklearn(file)

    def execute(self, requests):
        given = [triton.get_input_tensor_by_name(request, "x").as_numpy() for request in requests]
        made = self.predict(given[0] if len(given) == 1 else numpy.concatenate(given))
        answers, at = [], 0
        for rows in given:
            tensor = triton.Tensor("probabilities", made[at : at + len(rows)])
            answers.append(triton.InferenceResponse([tensor]))
            at += len(rows)
        return answers


def _onnx(file):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda rows: session.run(None, {"x": rows})[0]


def _sklearn(file):
    import joblib

    model = joblib.load(file)
    if hasattr(model, "n_jobs"):
        model.n_jobs = 1
    return lambda rows: model.predict_proba(rows).astype(numpy.float32)
