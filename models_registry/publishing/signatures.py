"""Read a version's signature from the model itself. Only ever imported in a child process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from models_registry.errors import InvalidInput
from models_registry.publishing import features, samples
from models_registry.publishing.samples import Sample
from models_registry.runtime import onnx as onnx_runtime
from models_registry.runtime.signature import DTYPES, Signature, Tensors, TensorSpec

_DATATYPES = {dtype: name for name, dtype in DTYPES.items()}

#: A model with more features than this is not probed for missing values column by column.
_PROBED_COLUMNS = 200


def of_estimator(model: Any, table: bytes | None) -> tuple[Signature, Sample]:
    """Signature and sample rows of a scikit-learn model; `table` is a person's CSV. Raises `InvalidInput`."""
    # Here, because an ONNX file needs no scikit-learn, whose import takes seconds.
    from models_registry.runtime import sklearn

    kind = sklearn.kind_of(model)
    known = features.features_of(model)
    if not known:
        raise InvalidInput("the model does not say how many features it takes: publish a fitted one", field="file")
    inputs = _inputs(model, known)
    sample = samples.from_csv(table, inputs) if table else samples.synthesized(known, inputs)
    outputs = _output_names(model, kind)
    draft = Signature(inputs, tuple(TensorSpec(name, "FP64", (-1,)) for name in outputs))
    answer = sklearn.answering(model, draft)
    whole = sample.keep(~_any_missing(sample))
    if not whole.rows:
        whole = samples.synthesized(known, inputs)
    inputs, sample = _with_missing(answer, inputs, sample, whole)
    classes = tuple(_label(value) for value in model.classes_) if kind == "classifier" else ()
    return Signature(inputs, _outputs(answer(whole.take(3)), outputs, 3), classes), sample


def of_graph(model: bytes, classes: tuple[Any, ...], table: bytes | None) -> tuple[Signature, Sample]:
    """Signature and sample rows of an ONNX graph, which keeps its own names but for `onnx.OUTPUT_NAMES`."""
    session = onnx_runtime.open_session(model)
    inputs = tuple(_graph_input(node) for node in session.get_inputs())
    if not inputs:
        raise InvalidInput("the graph has no input", field="file")
    names = [onnx_runtime.OUTPUT_NAMES.get(node.name, node.name) for node in session.get_outputs()]
    for node in session.get_outputs():
        if not node.type.startswith("tensor("):
            raise InvalidInput(
                f"output {node.name} is a {node.type}, not a tensor: export with options={{'zipmap': False}}",
                field="file",
            )
    sample = samples.from_csv(table, inputs) if table else samples.for_graph(inputs)
    feed = {name: values[np.arange(3) % len(values)] for name, values in sample.inputs.items()}
    values = session.run(None, feed)
    outputs = _outputs(dict(zip(names, values, strict=True)), names, 3)
    wide = {spec.shape[-1] for spec in outputs if spec.name == "probabilities"}
    return Signature(inputs, outputs, classes if wide == {len(classes)} else ()), sample


def retyped(signature: Signature, outputs: Tensors, rows: int) -> Signature:
    """The same signature with the output types the compiled model really gives."""
    names = [spec.name for spec in signature.outputs]
    return replace(signature, outputs=_outputs(outputs, names, rows))


def without_gaps(signature: Signature, sample: Sample, wrong: np.ndarray) -> tuple[Signature, Sample] | None:
    """The signature without missing values where the compiled model answers them otherwise; None if that is no cure.

    Many models answer a missing value they never saw in training, by chance rather than by design. Where only the
    rows we emptied ourselves differ (`wrong` is a mask of rows), not taking missing values there is the better
    contract; a person's own rows with missing values are never given up.
    """
    own = sample.rows - len(sample.gaps)
    if not sample.gaps or wrong[:own].any():
        return None
    names = {name for (name, _), is_wrong in zip(sample.gaps, wrong[own:], strict=True) if is_wrong}
    if any(samples.missing_rows(sample.inputs[name])[:own].any() for name in names):
        return None
    inputs = tuple(replace(spec, nullable=spec.nullable and spec.name not in names) for spec in signature.inputs)
    stays = np.array([True] * own + [name not in names for name, _ in sample.gaps])
    kept = tuple(gap for gap in sample.gaps if gap[0] not in names)
    return replace(signature, inputs=inputs), replace(sample.keep(stays), gaps=kept)


def _inputs(model: Any, known: list[features.Feature]) -> tuple[TensorSpec, ...]:
    if features.takes_columns(model, known):
        return tuple(TensorSpec(one.name, "BYTES" if one.is_text else "FP64", (-1, 1)) for one in known)
    texts = {one.is_text for one in known}
    if len(texts) > 1:
        raise InvalidInput("the model mixes text and numbers: fit it on a DataFrame with named columns", field="file")
    names = tuple(one.name for one in known) if features.has_names(model) else ()
    return (TensorSpec("input", "BYTES" if texts == {True} else "FP64", (-1, len(known)), columns=names),)


def _output_names(model: Any, kind: str) -> list[str]:
    if kind == "regressor":
        return ["value"]
    if kind == "classifier" and hasattr(model, "predict_proba"):
        return ["label", "probabilities"]
    return ["label"]


def _with_missing(
    answer: Callable[[Tensors], Tensors], inputs: tuple[TensorSpec, ...], sample: Sample, whole: Sample
) -> tuple[tuple[TensorSpec, ...], Sample]:
    """Mark inputs whose missing values the model answers, by trying; and see that the sample holds such rows."""
    nullable = tuple(replace(spec, nullable=_answers_missing(answer, spec, whole)) for spec in inputs)
    for spec in nullable:
        if not spec.nullable:
            sample = sample.keep(~samples.missing_rows(sample.inputs[spec.name]))
    if not sample.rows:
        sample = whole
    return nullable, _sprinkled(nullable, sample)


def _answers_missing(answer: Callable[[Tensors], Tensors], spec: TensorSpec, whole: Sample) -> bool:
    width = spec.shape[-1]
    if spec.dtype.kind not in "fO" or width > _PROBED_COLUMNS:
        return False
    tried = whole.take(width)
    tried = {**tried, spec.name: tried[spec.name].copy()}
    tried[spec.name][np.arange(width), np.arange(width)] = None if spec.dtype == object else np.nan
    try:
        outputs = answer(tried)
    except Exception:  # whatever a model raises here means that it does not take a missing value
        return False
    return not any(array.dtype.kind == "f" and np.isnan(array).any() for array in outputs.values())


def _sprinkled(inputs: tuple[TensorSpec, ...], sample: Sample) -> Sample:
    """One more row for each nullable column, with nothing in it."""
    gaps = tuple((spec.name, at) for spec in inputs if spec.nullable for at in range(spec.shape[-1]))
    if not gaps:
        return sample
    more = {name: values.copy() for name, values in sample.take(len(gaps)).items()}
    for row, (name, at) in enumerate(gaps):
        more[name][row, at] = None if more[name].dtype == object else np.nan
    joined = {name: np.concatenate([values, more[name]]) for name, values in sample.inputs.items()}
    source = f"{sample.source} and {len(gaps)} with missing values"
    return Sample(joined, sample.rows + len(gaps), source, gaps)


def _any_missing(sample: Sample) -> np.ndarray:
    return np.asarray(np.any([samples.missing_rows(values) for values in sample.inputs.values()], axis=0))


def _outputs(values: Tensors, names: Sequence[str], rows: int) -> tuple[TensorSpec, ...]:
    return tuple(_output(name, values[name], rows) for name in names)


def _output(name: str, value: Any, rows: int) -> TensorSpec:
    if not isinstance(value, np.ndarray) or value.ndim == 0 or len(value) != rows:
        raise InvalidInput(f"output {name} has not one entry per row: it cannot be served", field="file")
    shape = value.shape[1:]
    shape = () if name in ("label", "value") and shape == (1,) else shape
    datatype = _DATATYPES.get(value.dtype)
    if datatype is None:
        raise InvalidInput(f"output {name} is of type {value.dtype}, which no protocol carries", field="file")
    return TensorSpec(name, datatype, (-1, *shape))


def _graph_input(node: Any) -> TensorSpec:
    element = onnx_runtime.ELEMENTS.get(node.type)
    if element is None:
        raise InvalidInput(f"input {node.name} is a {node.type}, not a tensor", field="file")
    shape = tuple(size if isinstance(size, int) and size >= 0 else -1 for size in node.shape)
    if not shape or shape[0] != -1:
        raise InvalidInput(
            f"input {node.name} has the fixed shape {list(shape)}: export it with a free first axis (the rows)",
            field="file",
        )
    return TensorSpec(node.name, _DATATYPES[np.dtype(element)], shape)


def _label(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
