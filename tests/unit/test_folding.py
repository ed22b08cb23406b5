"""A folded graph: fewer nodes, the same answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from models_registry.publishing import folding
from models_registry.runtime.onnx import open_session

OFFSET, SCALE = [5.8, 3.0, 3.7], [1.2, -2.3, 0.5]
ROWS = np.random.default_rng(0).normal(OFFSET, 1.0, (50, 3)).astype(np.float32)


def scaler(**changed: Any) -> onnx.NodeProto:
    return ml("Scaler", ["x"], ["scaled"], **{"offset": OFFSET, "scale": SCALE, **changed})


def classifier(source: str = "scaled", target: str = "probabilities", transform: str = "SOFTMAX") -> onnx.NodeProto:
    numbers = {"coefficients": [1.0, -2.0, 0.5, 0.1, 0.7, -0.3], "intercepts": [0.2, -0.4]}
    return ml(
        "LinearClassifier", [source], ["label", target], classlabels_ints=[7, 8], post_transform=transform, **numbers
    )


def regressor() -> onnx.NodeProto:
    return ml("LinearRegressor", ["scaled"], ["value"], coefficients=[1.0, -2.0, 0.5], intercepts=[0.2])


def norm() -> onnx.NodeProto:
    return ml("Normalizer", ["chances"], ["probabilities"], norm="L1")


def ml(operator: str, inputs: list[str], outputs: list[str], **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs, outputs, domain="ai.onnx.ml", **attributes)


def graph(*nodes: onnx.NodeProto, outputs: tuple[str, ...], element: int = TensorProto.FLOAT) -> bytes:
    kinds = {"label": TensorProto.INT64}
    values = [helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), None) for name in outputs]
    given = helper.make_tensor_value_info("x", element, [None, 3])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 1)]
    model = helper.make_model(helper.make_graph(list(nodes), "g", [given], values), opset_imports=opsets, ir_version=8)
    return bytes(model.SerializeToString())


def operators(content: bytes) -> list[str]:
    return [node.op_type for node in onnx.load_model_from_string(content).graph.node]


@pytest.mark.parametrize(
    ("nodes", "outputs", "left"),
    [
        ([scaler(), classifier()], ("label", "probabilities"), ["LinearClassifier"]),
        ([scaler(), classifier(transform="LOGISTIC")], ("label", "probabilities"), ["LinearClassifier"]),
        ([scaler(), classifier(target="chances"), norm()], ("label", "probabilities"), ["LinearClassifier"]),
        ([scaler(offset=[5.0], scale=[2.0]), classifier()], ("probabilities",), ["LinearClassifier"]),
        ([scaler(), regressor()], ("value",), ["LinearRegressor"]),
        ([scaler(), classifier(target="chances", transform="LOGISTIC"), norm()], ("probabilities",), None),
    ],
)
def test_a_folded_graph_answers_the_same(
    nodes: list[onnx.NodeProto], outputs: tuple[str, ...], left: list[str] | None
) -> None:
    whole = graph(*nodes, outputs=outputs)
    folded = folding.fold(whole)
    assert folded is not None
    assert operators(folded) == (left or ["LinearClassifier", "Normalizer"])
    for before, after in zip(*(open_session(one).run(None, {"x": ROWS}) for one in (whole, folded)), strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ([classifier("x")], ("label", "probabilities")),
        ([scaler(), classifier()], ("scaled", "probabilities")),
        ([scaler(), classifier(), regressor()], ("probabilities", "value")),
        ([scaler(), helper.make_node("Relu", ["scaled"], ["value"])], ("value",)),
        ([scaler(offset=[1.0, 2.0], scale=[1.0, 2.0]), classifier()], ("probabilities",)),
        ([classifier("x", target="chances"), norm()], ("chances", "probabilities")),
    ],
    ids=["no scaler", "wanted", "read twice", "not linear", "other columns", "norm beside its source"],
)
def test_what_others_need_or_does_not_fit_stays(nodes: list[onnx.NodeProto], outputs: tuple[str, ...]) -> None:
    assert folding.fold(graph(*nodes, outputs=outputs)) is None


def test_a_graph_with_inner_graphs_stays() -> None:
    value = helper.make_tensor_value_info("value", TensorProto.FLOAT, None)
    inner = helper.make_graph([helper.make_node("Identity", ["scaled"], ["value"])], "inner", [], [value])
    true = helper.make_node("Constant", [], ["true"], value=helper.make_tensor("t", TensorProto.BOOL, [], [True]))
    choice = helper.make_node("If", ["true"], ["chosen"], then_branch=inner, else_branch=inner)
    assert folding.fold(graph(scaler(), classifier(), true, choice, outputs=("probabilities", "chosen"))) is None


def test_the_scaler_tells_plausible_values() -> None:
    features = folding.features_of(graph(scaler(scale=[1.5, -3.0, 0.0]), classifier(), outputs=("probabilities",)))
    found = [(round(one.low, 5), round(one.high, 5)) for one in features]
    assert found == [(3.8, 7.8), (2.0, 4.0), (0.7, 6.7)]


def test_a_graph_without_a_scaler_at_its_input_tells_nothing() -> None:
    assert folding.features_of(graph(classifier("x"), outputs=("probabilities",))) == []
