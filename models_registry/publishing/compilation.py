"""scikit-learn → ONNX. Only ever imported in a child process: skl2onnx lives here alone."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import skl2onnx
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType

from models_registry.publishing import graphs
from models_registry.runtime import sklearn
from models_registry.runtime.signature import Signature

#: Stands for missing text inside a compiled graph, whose strings know no missing: a code point that Unicode
#: sets aside for such use, so that no text a client means to send is taken for missing (the empty text is a text).
MISSING_TEXT = "\ufdd0"

#: The kinds of numbers a graph can calculate with.
FLOAT32, FLOAT64 = "float32", "float64"
#: What scikit-learn's trees do: features rounded to float32, thresholds and sums in float64.
ROUNDED = "float64 on float32 features"

VERSIONS = {"skl2onnx": skl2onnx.__version__}

logging.getLogger("skl2onnx").setLevel(logging.ERROR)


def compile_model(model: Any, signature: Signature, precision: str) -> bytes:
    """A graph whose inputs and outputs carry the signature's names. Raises whatever skl2onnx raises."""
    number = FloatTensorType if precision == FLOAT32 else DoubleTensorType
    types = [
        (f"column_{at}", (StringTensorType if spec.datatype == "BYTES" else number)([None, spec.shape[-1]]))
        for at, spec in enumerate(signature.inputs)
    ]
    model = _with_sentinels(copy.deepcopy(model), signature)
    if signature.by_column:
        types = [(spec.name, type_) for spec, (_, type_) in zip(signature.inputs, types, strict=True)]
    options = {id(model): {"zipmap": False}} if signature.classes else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = skl2onnx.convert_sklearn(model, initial_types=types, options=options)
    names = [spec.name for spec in signature.inputs], [spec.name for spec in signature.outputs]
    content = graphs.rename(graph.SerializeToString(), *names)
    return graphs.round_inputs(content) if precision == ROUNDED else content


def precisions(model: Any) -> tuple[str, ...]:
    """What to try, in order: for trees what scikit-learn does, which costs no more; else float32, the fastest."""
    has_trees = any(type(part).__name__ == "Tree" for part in sklearn.parts(model))
    return (ROUNDED, FLOAT32, FLOAT64) if has_trees else (FLOAT32, FLOAT64)


def _with_sentinels(model: Any, signature: Signature) -> Any:
    """Let imputers of text look for the sentinel, and encoders know it as the category of the missing."""
    if not any(spec.datatype == "BYTES" and spec.nullable for spec in signature.inputs):
        return model
    for step in _steps(model):
        statistics = getattr(step, "statistics_", None)
        if statistics is not None and any(isinstance(value, str) for value in statistics):
            step.missing_values = MISSING_TEXT
        categories = getattr(step, "categories_", None)
        if categories is not None:
            step.categories_ = [_named(values) for values in categories]
    return model


def _named(values: np.ndarray) -> np.ndarray:
    if values.dtype != object or not any(isinstance(value, str) for value in values):
        return values
    return np.array([value if isinstance(value, str) else MISSING_TEXT for value in values], dtype=object)


def _steps(estimator: Any) -> Iterator[Any]:
    """Every step of pipelines and column transformers, however nested."""
    yield estimator
    for attribute in ("steps", "transformers_", "transformer_list"):
        for entry in getattr(estimator, attribute, None) or ():
            if not isinstance(entry[1], str) and entry[1] is not None:
                yield from _steps(entry[1])
