"""What can be searched of one prediction: the first instance's features and the answer to it, by name."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from models_registry.runtime.signature import Signature, Tensors, TensorSpec
from monitoring.records import MAX_VALUES, Value

#: Longer text is cut: it is searched by its beginning.
MAX_TEXT = 1000
#: Outputs keep at least so many places beside a wide input.
OUTPUT_SHARE = 16


def searchable(signature: Signature, inputs: Tensors | None, outputs: Tensors | None) -> tuple[Value, ...]:
    """At most 64 values of the first instance: inputs by column, outputs by name, probabilities by class.

    Missing values are left out. Wide inputs give way to the first 16 outputs, wide outputs to the inputs.
    """
    asked = list(_values("input", signature.inputs, inputs or {}, ()))
    answered = list(_values("output", signature.outputs, outputs or {}, signature.classes))
    answered = answered[: max(OUTPUT_SHARE, MAX_VALUES - len(asked))]
    return (*asked[: MAX_VALUES - len(answered)], *answered)


def _values(side: str, specs: tuple[TensorSpec, ...], found: Tensors, classes: tuple[Any, ...]) -> Iterator[Value]:
    for spec in specs:
        array = found.get(spec.name)
        if array is None or array.ndim == 0 or not len(array):
            continue
        elements = array[0].ravel()[:MAX_VALUES].tolist() if array.ndim > 1 else [array[0]]
        for name, element in zip(
            _names(spec, int(array[0].size if array.ndim > 1 else 1), classes), elements, strict=False
        ):
            value = _value(side, name, element)
            if value is not None:
                yield value


def _names(spec: TensorSpec, width: int, classes: tuple[Any, ...]) -> list[str]:
    if width == 1 and not spec.columns:
        return [spec.name]
    if len(spec.columns) == width:
        return list(spec.columns)
    if len(classes) == width:
        return [f"{spec.name}.{label}" for label in classes]
    return [f"{spec.name}.{index}" for index in range(min(width, MAX_VALUES))]


def _value(side: str, name: str, element: Any) -> Value | None:
    if element is None:
        return None
    if isinstance(element, str):
        return Value(side=side, name=name, text=element[:MAX_TEXT])
    number = float(element)
    return Value(side=side, name=name, number=number) if math.isfinite(number) else None
