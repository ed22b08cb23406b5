"""Files that are broken or mean harm: rejected with a reason, in a child, and nothing outside is touched."""

from __future__ import annotations

import io
import itertools
import pickle
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from models_registry import errors, publishing
from models_registry.models import ModelVersion, RegisteredModel
from models_registry.runtime.sandbox import Sandbox
from tests import cast
from tests.integration.publishing import models

Publish = Callable[..., ModelVersion]


def graph(nodes: list[Any], constants: list[Any] = (), **wanted: Any) -> onnx.ModelProto:
    """A model from `input` (float rows of two) to `value`, made of these nodes."""
    made = helper.make_graph(
        nodes,
        "hostile",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, wanted.get("shape", [None, 2]))],
        [helper.make_tensor_value_info("value", TensorProto.FLOAT, wanted.get("answer", [None]))],
        initializer=list(constants),
    )
    return helper.make_model(
        made,
        opset_imports=[helper.make_opsetid(domain, 17 if not domain else 1) for domain in wanted.get("domains", [""])],
        ir_version=8,
    )


def with_external_data(location: str) -> bytes:
    weights = helper.make_tensor("weights", TensorProto.FLOAT, [2, 1], [1.0, 1.0])
    weights.ClearField("float_data")
    weights.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": "0", "length": "8"}.items():
        weights.external_data.add(key=key, value=value)
    model = graph([helper.make_node("MatMul", ["input", "weights"], ["value"])], [weights])
    return bytes(model.SerializeToString())


def with_external_data_inside() -> bytes:
    """The same trick in a constant of a graph inside a node."""
    value = helper.make_tensor("hidden", TensorProto.FLOAT, [1], [1.0])
    value.ClearField("float_data")
    value.data_location = TensorProto.EXTERNAL
    value.external_data.add(key="location", value="../../etc/hostname")
    inner = helper.make_graph(
        [helper.make_node("Constant", [], ["one"], value=value)],
        "inner",
        [],
        [helper.make_tensor_value_info("one", TensorProto.FLOAT, [1])],
    )
    nodes = [
        helper.make_node("Constant", [], ["true"], value=helper.make_tensor("t", TensorProto.BOOL, [], [True])),
        helper.make_node("If", ["true"], ["value"], then_branch=inner, else_branch=inner),
    ]
    return bytes(graph(nodes).SerializeToString())


def with_functions() -> bytes:
    model = graph([helper.make_node("Twice", ["input"], ["value"], domain="mine")], domains=["", "mine"])
    body = [helper.make_node("Twice", ["x"], ["y"], domain="mine")]
    model.functions.append(helper.make_function("mine", "Twice", ["x"], ["y"], body, [helper.make_opsetid("mine", 1)]))
    return bytes(model.SerializeToString())


def with_overriding_function() -> bytes:
    model = graph([helper.make_node("Relu", ["input"], ["value"])])
    body = [helper.make_node("Relu", ["x"], ["y"])]
    model.functions.append(helper.make_function("", "Relu", ["x"], ["y"], body, [helper.make_opsetid("", 17)]))
    return bytes(model.SerializeToString())


def huge() -> bytes:
    names = ["input", *(f"n{number}" for number in range(100_001)), "value"]
    nodes = [helper.make_node("Relu", [left], [right]) for left, right in itertools.pairwise(names)]
    return bytes(graph(nodes).SerializeToString())


def sequence_output() -> bytes:
    model = graph([helper.make_node("SequenceConstruct", ["input"], ["value"])])
    model.graph.output[0].type.CopyFrom(
        helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    )
    return bytes(model.SerializeToString())


def huge_by_shape() -> bytes:
    size = helper.make_tensor("size", TensorProto.INT64, [1], [1 << 34])
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["sum"]),
    ]
    nodes += [helper.make_node("ReduceSum", ["input", "axes"], ["rows"], keepdims=0)]
    nodes += [helper.make_node("Add", ["rows", "sum"], ["value"])]
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    return bytes(graph(nodes, [size, axes]).SerializeToString())


def one_number_for_all_rows() -> bytes:
    return bytes(
        graph([helper.make_node("ReduceSum", ["input"], ["value"], keepdims=0)], answer=[]).SerializeToString()
    )


def all_nan() -> bytes:
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    nan = helper.make_tensor("nan", TensorProto.FLOAT, [], [np.nan])
    nodes = [helper.make_node("ReduceSum", ["input", "axes"], ["sum"], keepdims=0)]
    nodes += [helper.make_node("Add", ["sum", "nan"], ["value"])]
    return bytes(graph(nodes, [axes, nan]).SerializeToString())


def relu(**wanted: Any) -> bytes:
    return bytes(
        graph([helper.make_node("Relu", ["input"], ["value"])], answer=[None, 2], **wanted).SerializeToString()
    )


def foreign_domain() -> bytes:
    node = helper.make_node("Relu", ["input"], ["value"], domain="com.microsoft")
    return bytes(graph([node], domains=["", "com.microsoft"]).SerializeToString())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (with_external_data("weights.bin"), "tensors in other files"),
        (with_external_data("../weights.bin"), "tensors in other files"),
        (with_external_data("/etc/hostname"), "tensors in other files"),
        (with_external_data_inside(), "tensors in other files"),
        (foreign_domain(), "com.microsoft"),
        (with_functions(), "operators of mine|functions"),
        (with_overriding_function(), "functions"),
        (huge(), "more than 100000 nodes"),
        (sequence_output(), "zipmap"),
        (relu(shape=[1, 2]), "fixed shape"),
        (relu(shape=[2]), "fixed shape"),
        (one_number_for_all_rows(), "one entry per row"),
        (all_nan(), "NaN for every sample row"),
        (huge_by_shape(), "memory|allocate|bad_alloc"),
        (cast.adder().model[:-20], "cut off or damaged|refuses"),
        (cast.adder().model[:50], "cut off or damaged|refuses"),
        (b"\x08\x08" + bytes(1000), "cut off or damaged|refuses"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else str(value)[:24],
)
def test_graphs_that_may_not_be_served_are_rejected_with_a_reason(
    published: Publish, content: bytes, words: str
) -> None:
    version = published(content, alias="champion")
    assert version.status == "rejected"
    assert any(word in version.reason for word in words.split("|")), version.reason
    assert not version.model.aliases.exists()


def test_a_graph_that_never_ends_is_rejected_when_its_time_is_over(model: RegisteredModel, settings: Any) -> None:
    settings.SERVING = {**settings.SERVING, "PUBLISH_LIMIT_S": 3.0}
    content = cast._busy(1 << 40)
    version = publishing.submit(model, content, filename="endless.onnx", who="mallory", enqueue=False)
    started = time.monotonic()
    version = publishing.publish(version.pk)
    assert version.status == "rejected"
    assert time.monotonic() - started < 20
    assert "took longer" in version.reason or "CPU" in version.reason


def test_a_file_that_is_code_gets_no_row(model: RegisteredModel, tmp_path: Path) -> None:
    class Canary:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "canary",)

    with pytest.raises(errors.FormatNotAllowed, match=r"skops\.io\.dump"):
        publishing.submit(model, pickle.dumps(Canary()), filename="model.skops", who="mallory")
    assert not model.versions.exists()
    assert not (tmp_path / "canary").exists()


def repacked(content: bytes, change: Callable[[dict[str, bytes]], None]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change(entries)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, entry in entries.items():
            archive.writestr(name, entry)
    return file.getvalue()


def pickled_array(canary: Path) -> bytes:
    class Canary:
        def __reduce__(self) -> Any:
            return Path.touch, (canary,)

    file = io.BytesIO()
    np.save(file, np.array([Canary()], dtype=object), allow_pickle=True)
    return file.getvalue()


def test_a_pickle_inside_an_array_of_a_skops_file_is_not_opened(
    published: Publish, trained: Callable[[str], bytes], tmp_path: Path
) -> None:
    def smuggle(entries: dict[str, bytes]) -> None:
        for name in entries:
            if name.endswith(".npy"):
                entries[name] = pickled_array(tmp_path / "canary")

    version = published(repacked(trained("iris"), smuggle))
    assert version.status == "rejected"
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (b"", "cannot be read"),
        (b"{}", "cannot be read"),
        (b"[" * 100_000, "cannot be read|nested"),
        (b'{"protocol": 3}', "cannot be read"),
    ],
)
def test_a_skops_file_with_a_broken_schema_is_rejected(
    published: Publish, trained: Callable[[str], bytes], schema: bytes, words: str
) -> None:
    version = published(repacked(trained("iris"), lambda entries: entries.update({"schema.json": schema})))
    assert version.status == "rejected"
    assert any(word in version.reason for word in words.split("|")), version.reason


def test_a_truncated_skops_file_is_refused(model: RegisteredModel, trained: Callable[[str], bytes]) -> None:
    content = trained("iris")
    for length in (len(content) - 10, len(content) // 2, 100):
        with pytest.raises(errors.FormatNotAllowed):
            publishing.submit(model, content[:length], filename="model.skops", who="mallory")


def test_a_skops_file_with_a_flipped_byte_never_passes_unnoticed(
    published: Publish, trained: Callable[[str], bytes]
) -> None:
    content = bytearray(trained("iris"))
    content[content.index(b"\x93NUMPY") + 130] ^= 0xFF  # a value, behind the header of 128 bytes
    version = published(bytes(content))
    assert version.status == "rejected"
    assert "CRC" in version.reason


def test_a_type_of_another_library_is_named_and_refused(published: Publish, child: Sandbox) -> None:
    version = published(child.call(models.with_foreign_type, timeout=60))
    assert version.status == "rejected"
    assert "subprocess.Popen" in version.reason


def test_what_cannot_predict_is_rejected(published: Publish, trained: Callable[[str], bytes]) -> None:
    version = published(trained("transformer"))
    assert version.status == "rejected"
    assert "no predict" in version.reason


def test_a_file_beyond_the_upload_limit_is_refused(model: RegisteredModel, settings: Any) -> None:
    settings.SERVING = {**settings.SERVING, "UPLOAD_LIMIT": 100}
    with pytest.raises(errors.TooLarge):
        publishing.submit(model, cast.adder().model, filename="adder.onnx", who="mallory")
    assert not model.versions.exists()
