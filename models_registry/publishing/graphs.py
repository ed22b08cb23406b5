"""ONNX files: what may be in one, and what it takes and gives. Only ever imported in a child process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, TensorProto

from models_registry.errors import FormatNotAllowed, InvalidInput, TooLarge

DOMAINS = frozenset(["", "ai.onnx", "ai.onnx.ml"])
MAX_NODES = 100_000
MAX_DEPTH = 16
VERSIONS = {"onnx": onnx.__version__}


def read(path: Path) -> ModelProto:
    """Parse a file without following anything it names. Raises `InvalidInput` when it is damaged."""
    try:
        return onnx.load_model_from_string(path.read_bytes())
    except MemoryError:
        raise
    except Exception as error:
        raise InvalidInput("the ONNX file is cut off or damaged: it cannot be parsed", field="file") from error


def check(path: Path) -> str:
    """Check a file's contents; return a sentence for the report.

    Raises `FormatNotAllowed` for external data, foreign operators or functions, `TooLarge` beyond the caps,
    `InvalidInput` when onnx's own checker refuses it.
    """
    model = read(path)
    domains = {opset.domain for opset in model.opset_import}
    _check_domains(domains)
    if model.functions:
        raise FormatNotAllowed("functions of a model's own are not taken: export it with them inlined", field="file")
    nodes = 0
    for graph in _graphs(model.graph):
        nodes += len(graph.node)
        if nodes > MAX_NODES:
            raise TooLarge(f"the graph has more than {MAX_NODES} nodes", field="file")
        _check_domains({node.domain for node in graph.node})
        for tensor in _tensors(graph):
            _check_tensor(tensor)
    try:
        onnx.checker.check_model(model)
    except MemoryError:
        raise
    except Exception as error:
        raise InvalidInput(
            f"onnx refuses the graph: {str(error).strip().splitlines()[0][:300]}", field="file"
        ) from error
    operators = ", ".join(f"{opset.domain or 'ai.onnx'} {opset.version}" for opset in model.opset_import)
    return f"{nodes} nodes, operators of {operators}"


def classes_of(model: ModelProto) -> tuple[Any, ...]:
    """Labels in the order of a classifier's probabilities, where one of its nodes lists them; else empty."""
    for graph in _graphs(model.graph):
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.name == "classlabels_strings" and attribute.strings:
                    return tuple(text.decode() for text in attribute.strings)
                if attribute.name in ("classlabels_ints", "classlabels_int64s") and attribute.ints:
                    return tuple(attribute.ints)
    return ()


def rename(content: bytes, inputs: list[str], outputs: list[str]) -> bytes:
    """Give a graph's inputs and first outputs these names, in order; skl2onnx changes what columns are called."""
    model = onnx.load_model_from_string(content)
    pairs = zip([*model.graph.input], inputs, strict=True)
    names = {value.name: name for value, name in pairs}
    names |= {value.name: name for value, name in zip(model.graph.output, outputs, strict=False)}
    taken = {name for node in model.graph.node for name in (*node.input, *node.output)} - set(names)
    for clash in taken & set(names.values()):
        names[clash] = f"{clash}__inner"
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        value.name = names.get(value.name, value.name)
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    return bytes(model.SerializeToString())


def round_inputs(content: bytes) -> bytes:
    """Let a graph of float64 take float32: its inputs are rounded, everything after them is calculated as before."""
    model = onnx.load_model_from_string(content)
    casts = []
    for value in model.graph.input:
        if value.type.tensor_type.elem_type != TensorProto.DOUBLE:
            continue
        inner = f"{value.name}__float64"
        for node in model.graph.node:
            node.input[:] = [inner if name == value.name else name for name in node.input]
        value.type.tensor_type.elem_type = TensorProto.FLOAT
        casts.append(onnx.helper.make_node("Cast", [value.name], [inner], to=TensorProto.DOUBLE))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return bytes(model.SerializeToString())


def _check_domains(domains: set[str]) -> None:
    foreign = sorted(domains - DOMAINS)
    if foreign:
        raise FormatNotAllowed(f"operators of {', '.join(foreign)} are not taken: only ONNX's own are", field="file")


def _graphs(graph: GraphProto, depth: int = 0) -> Iterator[GraphProto]:
    """The graph and every graph inside its nodes (If, Loop, Scan)."""
    if depth > MAX_DEPTH:
        raise TooLarge(f"graphs are nested more than {MAX_DEPTH} deep", field="file")
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs) if attribute.type in _GRAPHS else ():
                yield from _graphs(inner, depth + 1)


_GRAPHS = (AttributeProto.GRAPH, AttributeProto.GRAPHS)


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    """Every tensor stored in a graph: initializers, sparse ones, attributes of nodes."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield attribute.t
            yield from attribute.tensors
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)


def _check_tensor(tensor: TensorProto) -> None:
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise FormatNotAllowed(
            "the graph keeps tensors in other files: save it as one file "
            "(onnx.save_model(model, path, save_as_external_data=False))",
            field="file",
        )
