"""The same answers from fewer nodes: a scaler becomes part of the linear model behind it.

What comes out is compared with what went in, as every compiled graph is. Only ever imported in a child process.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import GraphProto, NodeProto, helper

from models_registry.publishing.features import Feature

_LINEAR = frozenset(["LinearClassifier", "LinearRegressor"])
_ML = "ai.onnx.ml"

#: A scaler's widths on either side of its centre that hold plausible values.
_WIDTHS = 3.0


def fold(content: bytes) -> bytes | None:
    """The graph with its scalers folded into linear models, and without norms of what is normal; None where it has
    none of them.

    onnxruntime's Scaler divides once for each number, and for one row every node costs as much as its arithmetic.
    """
    model = onnx.load_model_from_string(content)
    graph = model.graph
    if any(attribute.HasField("g") or attribute.graphs for node in graph.node for attribute in node.attribute):
        return None  # inner graphs may read any value
    needless = [node for linear in graph.node if linear.op_type in _LINEAR for node in _folded(graph, linear)]
    if not needless:
        return None
    for node in needless:
        graph.node.remove(node)
    del graph.value_info[:]
    return bytes(model.SerializeToString())


def features_of(content: bytes) -> list[Feature]:
    """Plausible values of a graph's only input, as the scaler that reads it knows them; empty where there is none."""
    graph = onnx.load_model_from_string(content).graph
    scaler = next((node for node in graph.node if _is(node, "Scaler") and node.input[0] == graph.input[0].name), None)
    if scaler is None or len(graph.input) != 1:
        return []
    offset, scale = _scaling(scaler)
    width = np.divide(_WIDTHS, np.abs(scale), out=np.full_like(scale, _WIDTHS), where=scale != 0)
    bounds = zip(*np.broadcast_arrays(offset - width, offset + width), strict=True)
    return [Feature(str(at), low=float(low), high=float(high)) for at, (low, high) in enumerate(bounds)]


def _folded(graph: GraphProto, linear: NodeProto) -> list[NodeProto]:
    """Let this linear model do the work of its neighbours; returns those that are needless now."""
    needless = []
    scaler = next((node for node in graph.node if _is(node, "Scaler") and node.output[0] == linear.input[0]), None)
    if scaler is not None and _readers(graph, linear.input[0]) == 1 and _take_scaling(linear, scaler):
        linear.input[0] = scaler.input[0]
        needless.append(scaler)
    made = linear.output[-1]
    norm = next((node for node in graph.node if _is(node, "Normalizer") and node.input[0] == made), None)
    if (
        norm is not None
        and _readers(graph, made) == 1
        and _is_normal(linear)
        and _attributes(norm).get("norm") == b"L1"
    ):
        linear.output[-1] = norm.output[0]
        needless.append(norm)
    return needless


def _is_normal(linear: NodeProto) -> bool:
    """Whether a row of its numbers sums to one."""
    return bool(_attributes(linear).get("post_transform") == b"SOFTMAX")


def _take_scaling(linear: NodeProto, scaler: NodeProto) -> bool:
    """Change a linear model's numbers so that it takes what the scaler takes; False where it has other columns."""
    offset, scale = _scaling(scaler)
    numbers = {attribute.name: attribute for attribute in linear.attribute}
    if not {"coefficients", "intercepts"} <= numbers.keys():
        return False
    intercepts = np.array(numbers["intercepts"].floats, np.float64)
    coefficients = np.array(numbers["coefficients"].floats, np.float64)
    columns = len(coefficients) // max(1, len(intercepts))
    if not {len(offset), len(scale)} <= {1, columns}:
        return False
    weights = coefficients.reshape(-1, columns) * scale
    numbers["intercepts"].floats[:] = intercepts - (weights * offset).sum(axis=1)
    numbers["coefficients"].floats[:] = weights.ravel()
    return True


def _scaling(scaler: NodeProto) -> tuple[np.ndarray, np.ndarray]:
    """A scaler's (offset, scale): it gives `(x - offset) * scale`, with one number of each for all columns or each."""
    found = _attributes(scaler)
    return np.array(found["offset"], np.float64), np.array(found["scale"], np.float64)


def _readers(graph: GraphProto, name: str) -> int:
    """How many nodes and outputs want this value."""
    wanted = [*(name for node in graph.node for name in node.input), *(value.name for value in graph.output)]
    return wanted.count(name)


def _is(node: NodeProto, operator: str) -> bool:
    return bool(node.domain == _ML and node.op_type == operator)


def _attributes(node: NodeProto) -> Mapping[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
