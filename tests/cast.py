"""The cast: a few tiny real models that the tests of every room play with.

Compiled ones are graphs built here; native ones are the loaders of `tests.misbehaving`, run in a child process.
"""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from models_registry.runtime.signature import Signature, TensorSpec
from tests.misbehaving import MAGIC

__all__ = ["MAGIC", "Member", "adder", "classifier", "native", "register", "slow", "text"]

_VALUE = TensorSpec("value", "FP64", (-1,))
_ROWS_OF_TWO = TensorSpec("input", "FP64", (-1, 2), columns=("a", "b"))


@dataclass(frozen=True, slots=True)
class Member:
    """One tiny model: the bytes of its artefact, what it takes and gives, and what runs it."""

    model: bytes
    signature: Signature
    format: str = "onnx"
    missing_text: str = ""

    @property
    def runtime(self) -> str:
        return "onnx" if self.format == "onnx" else "native"


@functools.cache
def adder(version: int = 1) -> Member:
    """`value` is the sum of the two columns, `version` the constant: an oracle knows both, exactly for integers."""
    onnx, helper = _onnx()
    nodes = [
        helper.make_node("ReduceSum", ["input", "axes"], ["value"], keepdims=0),
        *_constant_per_row(helper, "version", version),
    ]
    model = _model(
        nodes,
        inputs=[("input", onnx.TensorProto.DOUBLE, [None, 2])],
        outputs=[("value", onnx.TensorProto.DOUBLE, [None]), ("version", onnx.TensorProto.INT64, [None])],
        constants=[helper.make_tensor("axes", onnx.TensorProto.INT64, [1], [1])],
    )
    outputs = (_VALUE, TensorSpec("version", "INT64", (-1,)))
    return Member(model, Signature((_ROWS_OF_TWO,), outputs))


@functools.cache
def classifier() -> Member:
    """`label` is "yes" where a > b, else "no"; `probabilities` are of ("no", "yes"), by the logistic of a - b."""
    onnx, helper = _onnx()
    nodes = [
        helper.make_node("MatMul", ["input", "weights"], ["score"]),
        helper.make_node("Sigmoid", ["score"], ["yes"]),
        helper.make_node("Sub", ["one", "yes"], ["no"]),
        helper.make_node("Concat", ["no", "yes"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["probabilities"], ["best"], axis=1, keepdims=0),
        helper.make_node(
            "LabelEncoder",
            ["best"],
            ["label"],
            domain="ai.onnx.ml",
            keys_int64s=[0, 1],
            values_strings=["no", "yes"],
        ),
    ]
    model = _model(
        nodes,
        inputs=[("input", onnx.TensorProto.FLOAT, [None, 2])],
        outputs=[("label", onnx.TensorProto.STRING, [None]), ("probabilities", onnx.TensorProto.FLOAT, [None, 2])],
        constants=[
            helper.make_tensor("weights", onnx.TensorProto.FLOAT, [2, 1], [1.0, -1.0]),
            helper.make_tensor("one", onnx.TensorProto.FLOAT, [1], [1.0]),
        ],
    )
    signature = Signature(
        (TensorSpec("input", "FP32", (-1, 2), columns=("a", "b")),),
        (TensorSpec("label", "BYTES", (-1,)), TensorSpec("probabilities", "FP32", (-1, 2))),
        ("no", "yes"),
    )
    return Member(model, signature)


@functools.cache
def text() -> Member:
    """Two named, nullable columns: `echo` is the text ("missing" where there was none), `value` the number (0)."""
    onnx, helper = _onnx()
    nodes = [
        helper.make_node("Reshape", ["word", "flat"], ["echo"]),
        helper.make_node("Reshape", ["number", "flat"], ["numbers"]),
        helper.make_node("IsNaN", ["numbers"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "numbers"], ["value"]),
    ]
    model = _model(
        nodes,
        inputs=[("word", onnx.TensorProto.STRING, [None, 1]), ("number", onnx.TensorProto.DOUBLE, [None, 1])],
        outputs=[("echo", onnx.TensorProto.STRING, [None]), ("value", onnx.TensorProto.DOUBLE, [None])],
        constants=[
            helper.make_tensor("flat", onnx.TensorProto.INT64, [1], [-1]),
            helper.make_tensor("zero", onnx.TensorProto.DOUBLE, [], [0.0]),
        ],
    )
    signature = Signature(
        (TensorSpec("word", "BYTES", (-1, 1), nullable=True), TensorSpec("number", "FP64", (-1, 1), nullable=True)),
        (TensorSpec("echo", "BYTES", (-1,)), _VALUE),
    )
    return Member(model, signature, missing_text="missing")


@functools.cache
def raising() -> Member:
    """An adder whose run fails when a row holds 1,000 or more: it looks that number up where there are fewer."""
    onnx, helper = _onnx()
    nodes = [
        helper.make_node("ReduceMax", ["input"], ["most"], keepdims=0),
        helper.make_node("Cast", ["most"], ["place"], to=onnx.TensorProto.INT64),
        helper.make_node("Gather", ["places", "place"], ["extra"]),
        helper.make_node("ReduceSum", ["input", "axes"], ["sums"], keepdims=0),
        helper.make_node("Add", ["sums", "extra"], ["value"]),
    ]
    model = _model(
        nodes,
        inputs=[("input", onnx.TensorProto.DOUBLE, [None, 2])],
        outputs=[("value", onnx.TensorProto.DOUBLE, [None])],
        constants=[
            helper.make_tensor("axes", onnx.TensorProto.INT64, [1], [1]),
            helper.make_tensor("places", onnx.TensorProto.DOUBLE, [1000], [0.0] * 1000),
        ],
    )
    return Member(model, Signature((_ROWS_OF_TWO,), (_VALUE,)))


@functools.cache
def slow(milliseconds: int = 100) -> Member:
    """An adder that is busy for about that long, whatever the number of rows."""
    turns = 200
    elapsed = min(_seconds_of(_busy(turns)) for _ in range(2))
    return Member(_busy(max(1, round(turns * milliseconds / 1000 / elapsed))), Signature((_ROWS_OF_TWO,), (_VALUE,)))


def _seconds_of(model: bytes) -> float:
    from models_registry.runtime.onnx import open_session

    session = open_session(model)
    started = time.perf_counter()
    session.run(None, {"input": np.zeros((1, 2))})
    return time.perf_counter() - started


def _busy(turns: int) -> bytes:
    """An adder behind a loop of `turns` matrix products."""
    onnx, helper = _onnx()
    square = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["before", "matrix"], ["after"]),
            helper.make_node("Identity", ["going"], ["still_going"]),
        ],
        "turn",
        [
            square("turn", onnx.TensorProto.INT64, []),
            square("going", onnx.TensorProto.BOOL, []),
            square("before", onnx.TensorProto.FLOAT, [64, 64]),
        ],
        [square("still_going", onnx.TensorProto.BOOL, []), square("after", onnx.TensorProto.FLOAT, [64, 64])],
    )
    nodes = [
        # The matrix depends on the input, or the optimiser would run the loop once and keep its result.
        helper.make_node("ReduceMin", ["input"], ["least"], keepdims=0),
        helper.make_node("Cast", ["least"], ["seed"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Sub", ["seed", "seed"], ["nothing"]),
        helper.make_node("Expand", ["nothing", "square"], ["matrix"]),
        helper.make_node("Loop", ["turns", "", "matrix"], ["product"], body=body),
        helper.make_node("ReduceSum", ["product"], ["total"], keepdims=0),
        helper.make_node("Cast", ["total"], ["extra"], to=onnx.TensorProto.DOUBLE),
        helper.make_node("ReduceSum", ["input", "axes"], ["sums"], keepdims=0),
        helper.make_node("Add", ["sums", "extra"], ["value"]),
    ]
    return _model(
        nodes,
        inputs=[("input", onnx.TensorProto.DOUBLE, [None, 2])],
        outputs=[("value", onnx.TensorProto.DOUBLE, [None])],
        constants=[
            helper.make_tensor("axes", onnx.TensorProto.INT64, [1], [1]),
            helper.make_tensor("square", onnx.TensorProto.INT64, [2], [64, 64]),
            helper.make_tensor("turns", onnx.TensorProto.INT64, [], [turns]),
        ],
    )


def native(kind: str) -> Member:
    """An adder in a child process that misbehaves on a row holding `MAGIC`.

    Kinds: `plain`, `raising`, `crashing` (exit code 7), `segfaulting`, `hanging`, `greedy` (takes all memory),
    `nan` (answers NaN); `waiting` waits 50 ms for each row and never misbehaves.
    """
    from models_registry.runtime import loading

    format_ = f"cast-{kind}"
    loading.LOADERS[format_] = f"tests.misbehaving:load_{kind}"
    return Member(format_.encode(), Signature((_ROWS_OF_TWO,), (_VALUE,)), format=format_)


def register(project: str, name: str, member: Member, *, alias: str | None = "champion", **fields: Any) -> Any:
    """Make a ready version without publishing it; return the `ModelVersion`.

    `fields` are of the registered model (`hard_limit_s`, `open_limit`, `pool`) or of the report (`row_cost_s`).
    """
    from django.utils import timezone

    from models_registry import artifacts
    from models_registry.models import Alias, ModelVersion, Project, RegisteredModel

    report = {"row_cost_s": fields.pop("row_cost_s", [1e-5, 2e-5, 1e-4]), "missing_text": member.missing_text}
    owner, _ = Project.objects.get_or_create(name=project)
    model, _ = RegisteredModel.objects.update_or_create(project=owner, name=name, defaults=fields)
    digest, size = artifacts.put(member.model)
    last = model.versions.order_by("-number").values_list("number", flat=True).first() or 0
    version = ModelVersion.objects.create(
        model=model,
        number=last + 1,
        digest=digest,
        served_digest=digest,
        configuration_digest=f"{last + 1:064d}",
        format=member.format,
        runtime=member.runtime,
        size_bytes=size,
        status=ModelVersion.Status.READY,
        signature=member.signature.to_json(),
        report=report,
        ready_at=timezone.now(),
        created_by="cast",
    )
    if alias:
        Alias.point(version, alias, who="cast")
    return version


# Graphs -----------------------------------------------------------------------------------------------------


def _onnx() -> tuple[Any, Any]:
    import onnx

    return onnx, onnx.helper


def _constant_per_row(helper: Any, name: str, value: int) -> list[Any]:
    import onnx

    constant = helper.make_tensor(f"{name}_constant", onnx.TensorProto.INT64, [1], [value])
    return [
        helper.make_node("Shape", ["input"], [f"{name}_rows"], start=0, end=1),
        helper.make_node("ConstantOfShape", [f"{name}_rows"], [name], value=constant),
    ]


def _model(nodes: list[Any], *, inputs: list[Any], outputs: list[Any], constants: list[Any]) -> bytes:
    """Serialise a graph. Opset 17 and format 8, which every supported onnxruntime reads."""
    onnx, helper = _onnx()
    graph = helper.make_graph(
        nodes,
        "cast",
        [helper.make_tensor_value_info(*item) for item in inputs],
        [helper.make_tensor_value_info(*item) for item in outputs],
        initializer=constants,
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
