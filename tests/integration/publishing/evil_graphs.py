"""ONNX files that reach outside, never end, or are no graph: (name, bytes)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

FLOAT = TensorProto.FLOAT


def graphs(secret: Path) -> Iterator[tuple[str, bytes]]:  # long: a list
    """`secret` is a file outside that no graph may read."""
    good = model([helper.make_node("Identity", ["input"], ["value"])]).SerializeToString()
    for cut in (3, 20, len(good) - 5):
        yield f"cut off after {cut}", good[:cut]
    yield "with rubbish behind", good + b"\xff" * 50
    yield "head only", b"\x08\x08"
    yield "random bytes", b"\x08\x08" + bytes(range(256)) * 20
    for place in (
        *(
            str(secret),
            f"../../../../{secret}",
            "a/../../secret",
            "../secret",
            "/dev/zero",
            "/dev/stdin",
            "/proc/self/environ",
        ),
        *("", "secret\x00", "model.onnx", "C:\\secret", "file:///etc/passwd"),
    ):
        yield f"external data at {place!r}", model(_add(), [_external(place)]).SerializeToString()
    yield "external data, huge", model(_add(), [_external("w", offset=2**62, length=2**62)]).SerializeToString()
    yield "external data, negative", model(_add(), [_external("w", offset=-1, length=-1)]).SerializeToString()
    yield (
        "a foreign operator",
        model([helper.make_node("Evil", ["input"], ["value"], domain="evil")], domain="evil").SerializeToString(),
    )
    yield (
        "a foreign domain",
        model([helper.make_node("Identity", ["input"], ["value"])], domain="com.microsoft").SerializeToString(),
    )
    yield "an unknown operator", model([helper.make_node("NoSuchThing", ["input"], ["value"])]).SerializeToString()
    yield "a function that calls itself", _recursive()
    yield "no graph", onnx.ModelProto(ir_version=8).SerializeToString()
    yield "no inputs", model([helper.make_node("Identity", ["input"], ["value"])], inputs=0).SerializeToString()
    yield "a loose end", model([helper.make_node("Identity", ["nothing"], ["value"])]).SerializeToString()
    yield (
        "a circle",
        model(
            [
                helper.make_node("Identity", ["b"], ["a"]),
                helper.make_node("Identity", ["a"], ["b"]),
                helper.make_node("Identity", ["a"], ["value"]),
            ]
        ).SerializeToString(),
    )
    huge = TensorProto(name="w", data_type=FLOAT, dims=[2**31, 2**10])
    yield "2 TiB by shape only", model(_add(), [huge]).SerializeToString()
    yield "a negative shape", model(_add(), [TensorProto(name="w", data_type=FLOAT, dims=[-1, 2])]).SerializeToString()
    yield (
        "an initializer cut off",
        model(_add(), [TensorProto(name="w", data_type=FLOAT, dims=[4], raw_data=b"\0")]).SerializeToString(),
    )
    yield (
        "200,000 nodes",
        model(
            [helper.make_node("Identity", [f"n{i}" if i else "input"], [f"n{i + 1}"]) for i in range(200_000)]
            + [helper.make_node("Identity", ["n200000"], ["value"])]
        ).SerializeToString(),
    )
    yield "nested 24 deep", _nested(24)
    yield "a loop without end", _endless()


def model(
    nodes: list[Any], constants: list[Any] | None = None, *, domain: str = "", inputs: int = 1
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "evil",
        [helper.make_tensor_value_info("input", FLOAT, [None, 2])][:inputs],
        [helper.make_tensor_value_info("value", FLOAT, [None, 2])],
        initializer=constants or [],
    )
    opsets = [helper.make_opsetid("", 17)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def _add() -> list[Any]:
    return [helper.make_node("Add", ["input", "w"], ["value"])]


def _external(place: str, *, offset: int = 0, length: int = 8) -> TensorProto:
    tensor = TensorProto(name="w", data_type=FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", place), ("offset", str(offset)), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)
    return tensor


def _recursive() -> bytes:
    found = model([helper.make_node("Again", ["input"], ["value"], domain="mine")], domain="mine")
    body = [helper.make_node("Again", ["x"], ["y"], domain="mine")]
    found.functions.append(helper.make_function("mine", "Again", ["x"], ["y"], body, [helper.make_opsetid("mine", 1)]))
    return bytes(found.SerializeToString())


def _nested(depth: int) -> bytes:
    inner = helper.make_graph(
        [helper.make_node("Identity", ["input"], ["o"])], "g", [], [helper.make_tensor_value_info("o", FLOAT, None)]
    )
    for _ in range(depth):
        node = helper.make_node("If", ["yes"], ["o"], then_branch=inner, else_branch=inner if depth < 10 else _leaf())
        inner = helper.make_graph([node], "g", [], [helper.make_tensor_value_info("o", FLOAT, None)])
    yes = helper.make_tensor("yes", TensorProto.BOOL, [], [True])
    node = helper.make_node("If", ["yes"], ["value"], then_branch=inner, else_branch=_leaf())
    return bytes(model([node], [yes]).SerializeToString())


def _leaf() -> Any:
    return helper.make_graph(
        [helper.make_node("Identity", ["input"], ["o"])], "l", [], [helper.make_tensor_value_info("o", FLOAT, None)]
    )


def _endless() -> bytes:
    body = helper.make_graph(
        [helper.make_node("Identity", ["going"], ["still"]), helper.make_node("Identity", ["before"], ["after"])],
        "turn",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", FLOAT, None),
        ],
    )
    yes = helper.make_tensor("yes", TensorProto.BOOL, [], [True])
    turns = helper.make_tensor("turns", TensorProto.INT64, [], [2**62])
    return bytes(
        model(
            [helper.make_node("Loop", ["turns", "yes", "input"], ["value"], body=body)], [yes, turns]
        ).SerializeToString()
    )
