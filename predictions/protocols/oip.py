"""Open Inference Protocol V2: bytes of a request → `InferenceRequest`, outputs → bytes of the answer.

With the binary tensor extension (JSON first, then raw tensors; the header `Inference-Header-Content-Length` decides)
and the classification extension. What a request may not hold raises `InvalidInput`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import orjson

from models_registry.errors import InvalidInput, UnusableOutput
from models_registry.routing import Route, Version
from models_registry.runtime import floats, tensors
from models_registry.runtime.signature import Signature, Tensors, TensorSpec
from models_registry.runtime.tensors import Array
from predictions.protocols import oip_binary, oip_forms, oip_inputs, oip_quick, strict_json
from predictions.protocols.inference import InferenceRequest
from predictions.protocols.oip_forms import Form, Wanted

EXTENSIONS = ("binary_tensor_data", "classification", "model_repository", "statistics", "model_configuration")

JSON_HEADERS = (("Content-Type", "application/json"),)

#: Longest request id that is echoed and stored.
MAX_ID = 256

_NUMBERS = orjson.OPT_SERIALIZE_NUMPY


class Envelope(msgspec.Struct, frozen=True):
    """A request as it was sent, before any version's signature is known. `tail` holds the binary tensors, and `head`
    the JSON where one may follow."""

    id: str
    inputs: Sequence[Mapping[str, Any]]
    outputs: Sequence[Mapping[str, Any]]
    parameters: Mapping[str, Any]
    tail: memoryview
    raw: bool = False
    head: bytes = b""


class Bound(msgspec.Struct, frozen=True):
    """A request that fits a version: its tensors, the outputs wanted, and the request's own limit in seconds. `form`
    is the version's where all of its outputs are wanted as JSON, or (`is_binary`) all as bytes."""

    request: InferenceRequest
    wanted: tuple[Wanted, ...]
    timeout_s: float | None = None
    form: Form | None = None
    is_binary: bool = False


def read(body: bytes, version: Version, *, row_limit: int, header_length: str | None = None) -> Bound | None:
    """A request of a common form, parsed and bound at once: JSON with one tensor of floats, or a head that was read
    before with other tensors behind it. None for every other, also a wrong one."""
    if header_length is not None:
        return _read_again(body, _length(header_length, len(body)), version, row_limit)
    form = oip_forms.of(version)
    if form.quick is None:
        return None
    found = oip_quick.read(body, form.quick, row_limit=row_limit)
    if found is None:
        return None
    identifier, array = found
    request = InferenceRequest({form.quick.name: array}, len(array), form.names, identifier)
    return Bound(request, form.wanted, None, form)


def _read_again(body: bytes, at: int, version: Version, row_limit: int) -> Bound | None:
    head = oip_binary.find(version, body[:at], len(body) - at)
    if head is None or head.rows > row_limit:
        return None
    request = head.request(body, at)
    if request is None:
        return None
    return Bound(
        request, head.wanted, head.timeout_s, oip_forms.of(version) if head.is_binary else None, head.is_binary
    )


def parse(body: bytes, header_length: str | None = None) -> Envelope:
    """The envelope of a request body; `header_length` is the header `Inference-Header-Content-Length`, if sent."""
    size = len(body) if header_length is None else _length(header_length, len(body))
    tail = memoryview(body)[size:]
    if header_length is not None and size == 0:
        return Envelope("", (), (), {"binary_data_output": True}, tail, raw=True)
    if size == 0:
        raise InvalidInput("the body is empty: a JSON object with inputs is needed")
    if header_length is None:
        return _envelope(body, tail)
    head = body[:size]
    return msgspec.structs.replace(_envelope(head, tail), head=head)


def _envelope(text: bytes, tail: memoryview) -> Envelope:
    document = strict_json.loads(text)
    if not isinstance(document, dict):
        raise InvalidInput("the body must be a JSON object")
    inputs = _objects(document, "inputs")
    if not inputs:
        raise InvalidInput("inputs must hold at least one tensor", field="inputs")
    return Envelope(
        id=_identifier(document.get("id")),
        inputs=inputs,
        outputs=_objects(document, "outputs"),
        parameters=parameters_of(document, "parameters"),
        tail=tail,
    )


def _length(header: str, body: int) -> int:
    text = header.strip()
    if not (text.isascii() and text.isdigit() and len(text) < 16 and int(text) <= body):
        raise InvalidInput(
            f"Inference-Header-Content-Length {text[:40]!r} is no length within a body of {body} bytes",
            field="Inference-Header-Content-Length",
        )
    return int(text)


def _identifier(found: Any) -> str:
    if found is None:
        return ""
    if not isinstance(found, str) or len(found) > MAX_ID:
        raise InvalidInput(f"id must be text of at most {MAX_ID} characters", field="id")
    return found


def _objects(document: Mapping[str, Any], field: str) -> list[dict[str, Any]]:
    found = document.get(field)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise InvalidInput(f"{field} must be a list of objects", field=field)
    return found


def parameters_of(item: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    """The `parameters` of a request, an input or an output; absent and null are the same."""
    found = item.get("parameters")
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InvalidInput(f"{field} must be an object", field=field)
    return found


def bind(envelope: Envelope, version: Version, *, row_limit: int) -> Bound:
    """Fit a request to a version's signature; raises `InvalidInput` naming field and row, and `TooLarge`."""
    signature = version.signature
    wanted = _wanted(envelope, signature)
    if envelope.raw:
        inputs = oip_inputs.from_raw(envelope.tail, signature)
    else:
        sent = oip_inputs.read(envelope.inputs, envelope.tail, parameters_of)
        inputs = oip_inputs.fit(sent, signature)
    rows = tensors.check(signature, inputs, row_limit=row_limit, values=False)
    request = InferenceRequest(inputs, rows, tuple(item.name for item in wanted), envelope.id)
    timeout_s = _timeout(envelope.parameters.get("timeout"))
    if envelope.head:
        oip_binary.remember(version, envelope.head, envelope.inputs, request, wanted, timeout_s)
    return Bound(request, wanted, timeout_s)


def _timeout(found: Any) -> float | None:
    """The reserved parameter `timeout`, microseconds; 0 and null are none."""
    if found is None or found == 0:
        return None
    if type(found) is not int or found < 0:
        raise InvalidInput("timeout must be a number of microseconds", field="parameters.timeout")
    return min(found, 1 << 53) / 1e6


def _wanted(envelope: Envelope, signature: Signature) -> tuple[Wanted, ...]:
    binary = _flag(envelope.parameters, "binary_data_output", default=False)
    specs = {spec.name: spec for spec in signature.outputs}
    if not envelope.outputs:
        return tuple(Wanted(name, binary) for name in specs)
    wanted: dict[str, Wanted] = {}
    for item in envelope.outputs:
        name = item.get("name")
        if not isinstance(name, str) or name not in specs:
            known = ", ".join(specs)
            raise InvalidInput(f"unknown output {str(name)[:100]!r}: there are {known}", field="outputs")
        if name in wanted:
            raise InvalidInput(f"output {name} is asked for twice", field="outputs")
        parameters = parameters_of(item, "outputs.parameters")
        oip_inputs.refuse_shared_memory(parameters, name)
        classes = _classes(parameters.get("classification"), specs[name])
        wanted[name] = Wanted(name, _flag(parameters, "binary_data", default=binary), classes)
    return tuple(wanted.values())


def _flag(parameters: Mapping[str, Any], name: str, *, default: bool) -> bool:
    found = parameters.get(name)
    if found is None:
        return default
    if not isinstance(found, bool):
        raise InvalidInput(f"{name} must be true or false", field=f"parameters.{name}")
    return found


def _classes(found: Any, spec: TensorSpec) -> int:
    if found is None or (type(found) is int and found == 0):
        return 0
    if type(found) is not int or found < 0:
        raise InvalidInput("classification must be a number of classes", field=spec.name)
    if spec.dtype.kind not in "fiu" or len(spec.shape) != 2:
        raise InvalidInput(f"output {spec.name} has no classes to rank", field=spec.name)
    return found


def check_outputs(outputs: Tensors, signature: Signature, *, rows: int, limit: int) -> None:
    """Raise `UnusableOutput` for what no client could read: absent, of another length, NaN, infinite, too large."""
    size = 0
    for spec in signature.outputs:
        found = outputs.get(spec.name)
        if found is None or found.ndim == 0 or len(found) != rows:
            raise UnusableOutput(f"the model gave no output {spec.name} for each row", field=spec.name)
        kind = found.dtype.kind
        if kind == "O":
            size += _text_size(found, spec.name)
            continue
        if kind == "f" and not floats.is_finite(found):
            row = int(np.argmax(~np.isfinite(found.reshape(rows, -1)).all(axis=1)))
            raise UnusableOutput(f"row {row} of {spec.name} is NaN or infinite", field=spec.name, row=row)
        size += found.nbytes
    if size > limit:
        raise UnusableOutput(f"the outputs have {size} bytes, more than the limit of {limit}")


def _text_size(array: Array, name: str) -> int:
    """Characters of all texts."""
    try:
        return len("".join(array.ravel().tolist()))  # in one step, which takes nothing else
    except TypeError:
        raise UnusableOutput(f"output {name} holds something other than text", field=name) from None


def encode(bound: Bound, route: Route, identifier: str, outputs: Tensors) -> tuple[list[tuple[str, str]], bytes]:
    """Protocol headers and body of the answer. The id is the request's own, or the prediction's."""
    if bound.form is not None:
        behind: list[bytes] | None = [] if bound.is_binary else None
        head = oip_forms.answer(bound.form, bound.request.request_id or identifier, outputs, behind)
        return _with_tails(head, behind)
    signature = route.version.signature
    specs = {spec.name: spec for spec in signature.outputs}
    described: list[dict[str, Any]] = []
    tails: list[bytes] = []
    for wanted in bound.wanted:
        spec, array = specs[wanted.name], outputs[wanted.name]
        datatype = spec.datatype
        if wanted.classes:
            datatype, array = "BYTES", best_classes(array, wanted.classes, signature)
        item: dict[str, Any] = {"name": wanted.name, "datatype": datatype, "shape": array.shape}
        if wanted.binary:
            tails.append(tensors.to_binary(array, datatype))
            item["parameters"] = {"binary_data_size": len(tails[-1])}
        else:
            item["data"] = oip_forms.listed(array)
        described.append(item)
    document = {
        "model_name": route.version.model,
        "model_version": str(route.version.number),
        "id": bound.request.request_id or identifier,
        "outputs": described,
    }
    head = orjson.dumps(document, option=_NUMBERS)
    return _with_tails(head, tails)


def _with_tails(head: bytes, tails: list[bytes] | None) -> tuple[list[tuple[str, str]], bytes]:
    """Headers and body; without tails it is plain JSON."""
    if not tails:
        return list(JSON_HEADERS), head
    headers = [("Content-Type", "application/octet-stream"), ("Inference-Header-Content-Length", str(len(head)))]
    return headers, b"".join([head, *tails])


def best_classes(array: tensors.Array, count: int, signature: Signature) -> tensors.Array:
    """The `count` highest values of each row as texts `value:index[:label]`, best first."""
    count = min(count, array.shape[1])
    labels = signature.classes if len(signature.classes) == array.shape[1] else ()
    ranked = np.argsort(-array.astype(np.float64), axis=1, kind="stable")[:, :count]
    texts = np.empty(ranked.shape, dtype=object)
    for row, order in enumerate(ranked.tolist()):
        for place, index in enumerate(order):
            label = f":{labels[index]}" if labels else ""
            texts[row, place] = f"{float(array[row, index]):f}:{index}{label}"
    return texts
