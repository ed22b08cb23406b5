"""What requests to a version and answers of it have in common, worked out once per version instead of once per call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from models_registry.per_version import MOST, PerVersion
from models_registry.routing import Version
from models_registry.runtime import tensors
from models_registry.runtime.signature import Tensors, TensorSpec
from models_registry.runtime.tensors import Array
from predictions.protocols import oip_quick

_NUMBERS = orjson.OPT_SERIALIZE_NUMPY


@dataclass(frozen=True, slots=True)
class Wanted:
    """One output as it was asked for; `classes` > 0 asks for so many of the best classes instead of values."""

    name: str
    binary: bool = False
    classes: int = 0


@dataclass(frozen=True, slots=True)
class Form:
    """Of one version: its input where requests can be read in one go, all of its outputs as JSON, and the answer's
    text around names and values: of each output its name, its datatype and how its text begins."""

    quick: TensorSpec | None
    wanted: tuple[Wanted, ...]
    names: tuple[str, ...]
    head: bytes
    outputs: tuple[tuple[str, str, bytes], ...]


def _made(version: Version) -> Form:
    signature = version.signature
    names = tuple(spec.name for spec in signature.outputs)
    head = orjson.dumps({"model_name": version.model, "model_version": str(version.number)})
    return Form(
        quick=signature.inputs[0] if oip_quick.takes(signature) else None,
        wanted=tuple(map(Wanted, names)),
        names=names,
        head=head[:-1] + b',"id":',
        outputs=tuple((spec.name, spec.datatype, _begun(spec)) for spec in signature.outputs),
    )


@lru_cache(MOST)
def _begun(spec: TensorSpec) -> bytes:
    return orjson.dumps({"name": spec.name, "datatype": spec.datatype})[:-1] + b',"shape":'


of = PerVersion(_made).of


def answer(form: Form, identifier: str, outputs: Tensors, tails: list[bytes] | None = None) -> bytes:
    """The JSON of the answer with all outputs; as `oip.encode` writes it, which does not know the version. With `tails`
    their values are put there as bytes, to stand behind it."""
    parts = [form.head, orjson.dumps(identifier), b',"outputs":[']
    between = b""
    for name, datatype, begun in form.outputs:
        array = outputs[name]
        parts += (between, begun, orjson.dumps(array.shape))
        if tails is None:
            parts += (b',"data":', dumps(array), b"}")
        else:
            tails.append(tensors.to_binary(array, datatype))
            parts.append(b',"parameters":{"binary_data_size":%d}}' % len(tails[-1]))
        between = b","
    parts.append(b"]}")
    return b"".join(parts)


def listed(array: Array) -> Any:
    """The elements in order, as what orjson writes."""
    if array.dtype.kind == "O" or array.dtype.itemsize < 4:
        # orjson writes neither text arrays nor the narrowest floats itself.
        return array.ravel().tolist()
    return array.ravel()


def dumps(array: Array, dump: Callable[..., bytes] = orjson.dumps) -> bytes:
    return dump(listed(array), option=_NUMBERS)
