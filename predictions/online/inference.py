"""The online path, on memory only, the same behind both doors.

authorise → route → decode and validate → infer → encode → record into the spool → count → answer
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings

from models_registry import errors, snapshot
from models_registry.principals import Principal
from predictions import places
from predictions.online import counting, recording
from predictions.online.recording import Call
from predictions.protocols import encodings, oip

#: Errors that are only counted: nothing was predicted, and the next attempt may well be.
UNRECORDED = frozenset(
    ["not_authenticated", "forbidden", "not_found", "too_large", "quota_exceeded", "unavailable", "model_unavailable"]
)


@dataclass(frozen=True, slots=True)
class Asked:
    """One infer call as a door hands it over; `read` gives the body, whose declared length the door has checked."""

    name: str
    wanted: str | None
    read: Callable[[], bytes]
    header_length: str | None = None
    coding: str = ""
    accepts: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status 200: headers (without Content-Length) and body."""

    headers: list[tuple[str, str]]
    body: bytes


def infer(principal: Principal, asked: Asked) -> Answer:
    """Answer one call. Raises a `DomainError`; it carries the prediction's id where there is a record of it."""
    started, accepted_at = time.perf_counter(), time.time()
    try:
        snapshot.allow(principal, "predict")
        route = snapshot.find(principal, asked.name, asked.wanted)
        encodings.check(asked.coding)
    except errors.DomainError as error:
        counting.refused(error.code)
        raise
    call = Call(principal, route, accepted_at, started)
    try:
        answer = _answer(call, asked)
        recording.keep(call)
    except Exception as error:
        # Not "from error": an error that is its own cause is a cycle, which keeps body and tensors until collected.
        raise _failed(call, error) from None
    counting.answered(call)
    return answer


def _answer(call: Call, asked: Asked) -> Answer:
    limits = settings.SERVING
    signature = call.route.version.signature
    body = encodings.decompress(asked.read(), asked.coding, limit=limits["ONLINE_BODY_LIMIT"])
    with places.of_large_body(len(body)):
        envelope = oip.parse(body, asked.header_length)
        call.request_id = envelope.id
        bound = oip.bind(envelope, signature, row_limit=limits["ROW_LIMIT"])
    call.inputs, call.rows = bound.request.inputs, bound.request.rows
    _predict(call, bound.timeout_s)
    if call.outputs is None:
        raise errors.UnusableOutput("the model gave no outputs")
    oip.check_outputs(call.outputs, signature, rows=call.rows, limit=limits["OUTPUT_LIMIT"])
    headers, content = oip.encode(bound, call.route, call.id, call.outputs)
    if not bound.request.request_id:
        call.request_id = str(call.id)
    headers.append(("x-prediction-id", str(call.id)))
    return _coded(headers, content, asked.accepts)


def _predict(call: Call, timeout_s: float | None) -> None:
    """Run the model within its own hard limit, the server's limit and the request's."""
    version = call.route.version
    predictor = snapshot.predictor(version)
    left = settings.SERVING["REQUEST_LIMIT_S"] - (time.perf_counter() - call.started)
    limit = min(version.hard_limit_s, left, timeout_s or left)
    if call.inputs is None or limit <= 0:
        raise errors.PredictionTimeout("the request's own limit has passed")
    with places.of_model(version):
        begun = time.perf_counter()
        try:
            call.outputs = predictor.predict(call.inputs, timeout=limit)
        finally:
            call.inference_s = time.perf_counter() - begun


def _coded(headers: list[tuple[str, str]], content: bytes, accepts: str) -> Answer:
    """Compress a larger answer for a client that asked for it; the JSON's length is that before compression."""
    if accepts:
        headers.append(("Vary", "Accept-Encoding"))
        coding = encodings.accepted(accepts) if len(content) >= encodings.LEAST_BYTES else ""
        if coding:
            headers.append(("Content-Encoding", coding))
            content = encodings.compress(content, coding)
    return Answer(headers, content)


def _failed(call: Call, error: Exception) -> Exception:
    """Record and count a call that failed after its version was chosen; return what the door is to raise."""
    code = recording.code_of(error)
    if code in UNRECORDED:
        counting.refused(code, call.route)
        return error
    if isinstance(error, errors.UnusableOutput):
        call.outputs = None
    try:
        recording.keep(call, error)
    except errors.Unavailable as full:
        counting.refused(full.code, call.route)
        return full
    counting.failed(call, code)
    if isinstance(error, errors.DomainError):
        error.prediction_id = call.id
    return error
