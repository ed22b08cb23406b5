"""A scaler in front of a linear model is published as part of it, where that changes no answer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from models_registry import artifacts
from models_registry.models import ModelVersion

Publish = Callable[..., ModelVersion]


def scaled(centre: float) -> bytes:
    """Two columns about a centre, one wide, and the chances of a class by both."""
    nodes = [
        helper.make_node("Scaler", ["x"], ["s"], domain="ai.onnx.ml", offset=[centre, centre], scale=[1.0, 1.0]),
        helper.make_node(
            "LinearClassifier",
            ["s"],
            ["label", "probabilities"],
            domain="ai.onnx.ml",
            coefficients=[-1.0, 2.0, 1.0, -2.0],
            intercepts=[0.1, -0.1],
            classlabels_ints=[0, 1],
            post_transform="SOFTMAX",
        ),
    ]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])
    made = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 1)]
    model = helper.make_model(helper.make_graph(nodes, "g", [given], [made]), opset_imports=opsets, ir_version=8)
    return bytes(model.SerializeToString())


def steps(version: ModelVersion) -> dict[str, tuple[str, str]]:
    return {step["name"]: (step["outcome"], step["detail"]) for step in version.report["steps"]}


def served(version: ModelVersion) -> list[str]:
    content = artifacts.local_path(version.served_digest).read_bytes()
    return [node.op_type for node in onnx.load_model_from_string(content).graph.node]


def test_an_onnx_file_is_folded_and_compared_about_its_own_centre(published: Publish) -> None:
    version = published(scaled(5.0))
    assert (version.status, version.runtime) == ("ready", "onnx"), version.reason
    assert served(version) == ["LinearClassifier"]
    assert steps(version)["compilation"][0] == steps(version)["parity"][0] == "ok"
    assert version.report["parity"]["rows"] == 256


@pytest.mark.parametrize("sample", [None, b"1000000,1000001\n1000002,1000000\n"], ids=["made up", "a person's"])
def test_an_onnx_file_that_would_answer_otherwise_is_served_as_it_is(published: Publish, sample: bytes | None) -> None:
    version = published(scaled(1_000_000.0), sample=sample)
    assert (version.status, version.served_digest) == ("ready", version.digest), version.reason
    outcome, detail = steps(version)["parity"]
    assert (outcome, detail.startswith("the artefact is served as it is: folded, 0 of")) == ("skipped", True), detail


def test_a_scikit_learn_model_is_folded(published: Publish, trained: Callable[[str], bytes]) -> None:
    assert served(published(trained("iris"))) == ["LinearClassifier"]


def test_a_scikit_learn_model_that_would_answer_otherwise_is_not(
    published: Publish, trained: Callable[[str], bytes]
) -> None:
    rows = np.random.default_rng(0).integers(2**16 - 32, 2**16 + 32, (200, 4))
    version = published(trained("far"), sample="\n".join(",".join(map(str, row)) for row in rows.tolist()).encode())
    assert (version.status, version.runtime) == ("ready", "onnx"), version.reason
    assert "Scaler" in served(version)
    assert 0 < version.report["parity"]["worst_relative"] < 1e-5
