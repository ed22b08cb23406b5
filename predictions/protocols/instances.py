"""Our own request and answer: `{"instances": [...]}` ↔ tensors by name, one entry per instance.

A row is a list in the order of the signature, an object by column name, or, where there is a single column,
the bare value.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Any, NoReturn

import numpy as np
import orjson

from models_registry.errors import InvalidInput, TooLarge, UnusableOutput
from models_registry.runtime import tensors
from models_registry.runtime.signature import Signature, Tensors, TensorSpec
from predictions.protocols import strict_json
from predictions.protocols.inference import InferenceRequest

_KEYS = frozenset(("instances",))


def decode(input: Any, signature: Signature, *, row_limit: int) -> InferenceRequest:
    """`{"instances": [...]}` → a validated request.

    Raises `InvalidInput` naming row and column, `TooLarge` beyond `row_limit` rows.
    """
    rows = strict_json.object_of(input, allowed=_KEYS, field="/input").get("instances")
    if type(rows) is not list:
        raise InvalidInput('input must hold "instances", a list of rows', field="/input/instances")
    if not rows:
        raise InvalidInput("no instances: at least one row is needed", field="/input/instances")
    if len(rows) > row_limit:
        raise TooLarge(f"{len(rows)} instances are more than the limit of {row_limit}", field="/input/instances")
    kinds = set(map(type, rows))
    if kinds == {dict}:
        found = _from_objects(signature, rows)
    elif dict in kinds:
        _refuse_mixture(rows)
    else:
        found = _from_lists(signature, rows, nested=kinds == {list})
    tensors.check(signature, found, row_limit=row_limit, values=False)
    return InferenceRequest(inputs=found, rows=len(rows))


def encode(outputs: Tensors, signature: Signature) -> dict[str, Any]:
    """Outputs by the signature's names, JSON-ready, one entry per instance (`[-1, 1]` is flattened).

    Raises `UnusableOutput` naming the row of a NaN, an infinity or a text that is none.
    """
    answer: dict[str, Any] = {}
    for spec in signature.outputs:
        array = outputs.get(spec.name)
        if array is None:
            raise UnusableOutput(f"the model gave no output {spec.name}", field=spec.name)
        answer[spec.name] = _listed(spec, array)
    if len({len(entries) for entries in answer.values()}) > 1:
        raise UnusableOutput("the model gave outputs of different lengths")
    return answer


def _from_lists(signature: Signature, rows: list[Any], *, nested: bool) -> Tensors:
    specs = signature.inputs
    if len(specs) == 1:
        spec = specs[0]
        if not nested and not (len(spec.shape) == 1 or spec.shape[1:] == (1,)):
            row = next(index for index, item in enumerate(rows) if type(item) is not list)
            raise InvalidInput(f"row {row} must be a list of values or an object", field=spec.name, row=row)
        if nested and len(spec.shape) == 1:
            rows = [item[0] if type(item) is list and len(item) == 1 else item for item in rows]
        return {spec.name: tensors.column(spec, rows)}
    for row, item in enumerate(rows):
        if type(item) is not list:
            raise InvalidInput(f"row {row} must be a list of values or an object", row=row)
        if len(item) != len(specs):
            raise InvalidInput(f"row {row} has {len(item)} values instead of {len(specs)}", row=row)
    return {
        spec.name: tensors.column(spec, list(values))
        for spec, values in zip(specs, zip(*rows, strict=True), strict=True)
    }


def _from_objects(signature: Signature, rows: list[dict[str, Any]]) -> Tensors:
    specs = signature.inputs
    only = specs[0]
    if len(specs) == 1 and only.columns:
        names = only.columns
        nullable = frozenset(names if only.nullable else ())
    else:
        names = tuple(spec.name for spec in specs)
        nullable = frozenset(spec.name for spec in specs if spec.nullable)
    rows = _completed(rows, names, nullable)
    if len(specs) == 1 and only.columns:
        return {only.name: tensors.column(only, [[item[name] for name in names] for item in rows])}
    return {spec.name: tensors.column(spec, list(map(itemgetter(spec.name), rows))) for spec in specs}


def _completed(rows: list[dict[str, Any]], names: tuple[str, ...], nullable: frozenset[str]) -> list[dict[str, Any]]:
    """Every row with exactly the wanted names; a nullable column left out is a missing value."""
    wanted = frozenset(names)
    complete = []
    for row, item in enumerate(rows):
        if item.keys() != wanted:
            _refuse_names(row, item, wanted, nullable)
            item = {name: item.get(name) for name in names}
        complete.append(item)
    return complete


def _refuse_names(row: int, item: dict[str, Any], wanted: frozenset[str], nullable: frozenset[str]) -> None:
    for name in item:
        if name not in wanted:
            raise InvalidInput(f"row {row}: unknown column {name[:100]!r}", field=name[:100], row=row)
    for name in sorted(wanted - item.keys() - nullable):
        raise InvalidInput(f"row {row}: column {name!r} is missing", field=name, row=row)


def _refuse_mixture(rows: list[Any]) -> NoReturn:
    first = type(rows[0])
    row = next(index for index, item in enumerate(rows) if type(item) is not first)
    raise InvalidInput(f"row {row} is of another form than row 0: all objects or all lists", row=row)


def _listed(spec: TensorSpec, array: tensors.Array) -> list[Any]:
    if array.ndim == 0:
        raise UnusableOutput(f"the model's output {spec.name} has no rows", field=spec.name)
    kind = array.dtype.kind
    if kind == "f":
        if not np.isfinite(array).all():
            row = int(np.argmax(~np.isfinite(array.reshape(len(array), -1)).all(axis=1)))
            raise UnusableOutput(f"row {row} of {spec.name}: the model gave NaN or infinity", field=spec.name, row=row)
    elif kind == "O" and not set(map(type, array.ravel().tolist())) <= {str}:
        raise UnusableOutput(f"the model's output {spec.name} holds something other than text", field=spec.name)
    if array.ndim > 1 and array.shape[1:] == (1,):
        array = array.reshape(-1)
    if kind == "f" and array.dtype.itemsize < 8:
        # The shortest decimal that means the same float32, as the online doors write it: 0.1, not 0.10000000149011612.
        values: list[Any] = orjson.loads(orjson.dumps(np.ascontiguousarray(array), option=orjson.OPT_SERIALIZE_NUMPY))
        return values
    listed: list[Any] = array.tolist()
    return listed
