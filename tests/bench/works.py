"""The work everybody is given: one ONNX file per model, the rows that are sent, and the answer that is right.

The models answer with probabilities alone (the output `label` is cut from the graph), so that everybody encodes the
same, and everybody is given single precision.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.bench.machine import WORKSHOP

FOLDER = WORKSHOP / "models"
#: Model → (columns, classes).
SHAPES = {"iris": (4, 3), "forest": (30, 2), "wide": (30, 2), "heavy": (30, 2)}
#: Layers that make one row of the heavy model cost more than 5 ms; its weights stay within a core's own cache.
HEAVY_LAYERS = 160


@dataclass(frozen=True)
class Work:
    """`rows` rows of one model in one call; `binary` tensors instead of JSON."""

    name: str
    model: str
    rows: int = 1
    binary: bool = False

    @cached_property
    def values(self) -> list[list[float]]:
        """The rows, as single precision prints them."""
        return [list(row) for row in json.loads((FOLDER / f"{self.model}.json").read_text())[: self.rows]]

    @cached_property
    def expected(self) -> list[list[float]]:
        """The probabilities onnxruntime gives for them, undisturbed by any server."""
        import numpy
        import onnxruntime

        session = onnxruntime.InferenceSession(model_file(self.model), providers=["CPUExecutionProvider"])
        given = numpy.array(self.values, numpy.float32)
        return [list(map(float, row)) for row in session.run(None, {"x": given})[0]]

    def is_right(self, answer: Any) -> bool:
        """Whether these are the expected probabilities; scikit-learn computes in double precision, hence 1e-3."""
        import numpy

        found = numpy.array(answer, float).reshape(-1)
        wanted = numpy.array(self.expected, float).reshape(-1)
        return found.shape == wanted.shape and bool(numpy.abs(found - wanted).max() < 1e-3)


IRIS = Work("iris", "iris")
FOREST = Work("forest", "forest")
WIDE = Work("wide", "wide", rows=1000)
WIDE_BINARY = Work("wide, binary", "wide", rows=1000, binary=True)
HEAVY = Work("heavy", "heavy")


def model_file(model: str) -> Path:
    return FOLDER / f"{model}.onnx"


def make() -> None:
    """Train and write the models and their rows, where missing."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    if all(model_file(model).exists() for model in SHAPES):
        return
    from tests.bench.peers.files import train

    model_file("heavy").write_bytes(_heavy())
    (FOLDER / "heavy.json").write_text(json.dumps(train.cancer()[0].tolist()))
    for name, fitted, rows in train.models():
        model_file(name).write_bytes(_compiled(fitted, SHAPES[name][0]))
        picked = [rows[index % len(rows)] for index in range(1000)]
        (FOLDER / f"{name}.json").write_text(json.dumps([[float(f"{value:.6g}") for value in row] for row in picked]))


def _compiled(fitted: Any, columns: int) -> bytes:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    graph = to_onnx(fitted, initial_types=[("x", FloatTensorType([None, columns]))], options={"zipmap": False})
    del graph.graph.output[0]
    return bytes(graph.SerializeToString())


def _heavy() -> bytes:
    """A net of equal dense layers over a matrix made of each row: arithmetic without traffic to memory."""
    import numpy
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    random = numpy.random.default_rng(0)
    held = {
        "spread": random.normal(0, 0.01, (30, 64 * 256)),
        "layer": random.normal(0, 0.06, (256, 256)),
        "last": random.normal(0, 0.5, (256, 2)),
    }
    weights = [numpy_helper.from_array(value.astype(numpy.float32), name) for name, value in held.items()]
    weights.append(numpy_helper.from_array(numpy.array([-1, 64, 256], numpy.int64), "shape"))
    nodes = [helper.make_node("MatMul", ["x", "spread"], ["flat"])]
    nodes.append(helper.make_node("Reshape", ["flat", "shape"], ["h0"]))
    for layer in range(HEAVY_LAYERS):
        nodes.append(helper.make_node("MatMul", [f"h{layer}", "layer"], [f"m{layer}"]))
        nodes.append(helper.make_node("Tanh", [f"m{layer}"], [f"h{layer + 1}"]))
    nodes.append(helper.make_node("ReduceMean", [f"h{HEAVY_LAYERS}"], ["mean"], axes=[1], keepdims=0))
    nodes.append(helper.make_node("MatMul", ["mean", "last"], ["scores"]))
    nodes.append(helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1))
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 30])
    made = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", 2])
    graph = helper.make_graph(nodes, "heavy", [given], [made], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
