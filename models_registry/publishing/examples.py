"""Golden examples: a person's own inputs with the outputs they expect, run before the version may answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from models_registry.errors import InvalidInput
from models_registry.publishing import comparison
from models_registry.runtime import tensors
from models_registry.runtime.signature import Signature, Tensors

MAX_EXAMPLES = 1000


def check_shape(examples: Any) -> list[dict[str, Any]]:
    """Return the examples, or raise `InvalidInput`: a list of {"instance": row, "output": {name: entry}}."""
    if not isinstance(examples, list) or not 0 < len(examples) <= MAX_EXAMPLES:
        raise InvalidInput(f"examples are a list of 1 to {MAX_EXAMPLES}", field="examples")
    for at, example in enumerate(examples):
        if not isinstance(example, dict) or set(example) != {"instance", "output"}:
            raise InvalidInput("an example has exactly instance and output", field="examples", row=at)
        if not isinstance(example["output"], dict):
            raise InvalidInput("an example's output is an object by output name", field="examples", row=at)
    return examples


def run(examples: list[dict[str, Any]], signature: Signature, predict: Callable[[Tensors], Tensors]) -> str:
    """Run all examples; return a sentence. Raises `InvalidInput` for the first that is answered otherwise."""
    for at, example in enumerate(examples):
        outputs = predict(_inputs(example["instance"], signature))
        for name, wanted in example["output"].items():
            if name not in outputs:
                raise InvalidInput(f"example {at} expects {name!r}, which the model does not give", field="examples")
            if not _same(name, wanted, outputs[name][0]):
                raise InvalidInput(
                    f"example {at}: {name} is {_plain(outputs[name][0])}, expected {wanted}", field="examples", row=at
                )
    return f"{len(examples)} examples answered as expected"


def _inputs(instance: Any, signature: Signature) -> Tensors:
    if len(signature.inputs) == 1 and not isinstance(instance, Mapping):
        return {signature.inputs[0].name: tensors.column(signature.inputs[0], [instance])}
    if not isinstance(instance, Mapping):
        instance = dict(zip((spec.name for spec in signature.inputs), instance, strict=False))
    if len(signature.inputs) == 1 and signature.inputs[0].columns:
        spec = signature.inputs[0]
        return {spec.name: tensors.column(spec, [[_of(instance, name) for name in spec.columns]])}
    return {spec.name: tensors.column(spec, [_of(instance, spec.name)]) for spec in signature.inputs}


def _of(instance: Mapping[str, Any], name: str) -> Any:
    if name not in instance:
        raise InvalidInput(f"an example lacks {name!r}", field="examples")
    return instance[name]


def _same(name: str, wanted: Any, found: Any) -> bool:
    left, right = np.asarray(wanted), np.asarray(found)
    if left.shape != right.shape:
        return False
    if left.dtype.kind in "iuf" and right.dtype.kind in "iuf":
        left, right = left.astype(float), right.astype(float)
        distance = comparison.relative(left, right, comparison.floor_of(name, left))
        return bool((distance <= comparison.TOLERANCE).all())
    return bool((left == right).all())


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
