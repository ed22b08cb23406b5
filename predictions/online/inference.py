"""The online path, on memory only, the same behind both doors.

authorise → route → decode and validate → infer → encode → record into the spool → count → answer
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from models_registry import errors, snapshot
from models_registry.every_call import CURRENT
from models_registry.principals import Principal
from models_registry.runtime.signature import Tensors
from monitoring.ids import text_of
from predictions import places, protection, telling
from predictions.online import coalescing, counting, recording
from predictions.online.recording import Call
from predictions.protocols import cache_control, encodings, oip

#: Errors that are only counted: nothing was predicted, and the next attempt may well be.
UNRECORDED = frozenset(
    {
        *("not_authenticated", "forbidden", "not_found", "too_large", "quota_exceeded", "unavailable"),
        *("model_unavailable", "incomplete"),
    }
)


class Asked(msgspec.Struct, frozen=True):
    """One infer call as a door hands it over; `read` gives the body, whose declared length the door has checked."""

    name: str
    wanted: str | None
    read: Callable[[], bytes]
    header_length: str | None = None
    coding: str = ""
    accepts: str = ""
    cache_control: str = ""
    subject: str = ""


class Answer(msgspec.Struct, frozen=True):
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
        subject = protection.subject_of(asked.subject, principal) if asked.subject else ""
    except errors.DomainError as error:
        counting.refused(error.code)
        raise
    call = Call(principal, route, accepted_at, started, CURRENT.serving, subject=subject)
    try:
        answer = _answer(call, asked)
        recording.keep(call)
    except Exception as error:
        # Not "from error": an error that is its own cause is a cycle, which keeps body and tensors until collected.
        raise _failed(call, error) from None
    counting.answered(call)
    return answer


def _answer(call: Call, asked: Asked) -> Answer:
    bound = _decode(call, asked)
    call.inputs, call.rows = bound.request.inputs, bound.request.rows
    # What is about a person is not kept where it could not be found again to be erased.
    _predict(call, bound.timeout_s, "no-store" if call.subject else asked.cache_control)
    if call.outputs is None:
        raise errors.UnusableOutput("the model gave no outputs")
    identifier = text_of(call.octets)
    begun = time.perf_counter()
    headers, content = oip.encode(bound, call.route, identifier, call.outputs)
    if not bound.request.request_id:
        call.request_id = identifier
    headers.append(("x-prediction-id", identifier))
    if call.answered is not None:
        headers.append(("Cache-Status", cache_control.status(call.answered.outcome, ttl_s=call.answered.ttl_s)))
    answer = _coded(headers, content, asked.accepts)
    call.encode_s = time.perf_counter() - begun
    return answer


def _decode(call: Call, asked: Asked) -> oip.Bound:
    body = asked.read()
    if asked.coding:
        body = encodings.decompress(body, asked.coding, limit=call.limits["ONLINE_BODY_LIMIT"])
    if len(body) <= places.LARGE_BODY:
        return _bound(call, asked, body)
    with places.of_large_body(len(body)):
        return _bound(call, asked, body)


def _bound(call: Call, asked: Asked, body: bytes) -> oip.Bound:
    version, row_limit = call.route.version, call.limits["ROW_LIMIT"]
    bound = oip.read(body, version, row_limit=row_limit, header_length=asked.header_length)
    if bound is not None:
        call.request_id = bound.request.request_id
        return bound
    envelope = oip.parse(body, asked.header_length)
    call.request_id = envelope.id
    return oip.bind(envelope, version, row_limit=row_limit)


def _predict(call: Call, timeout_s: float | None, wishes: str) -> None:
    """Answer within the model's own hard limit, the server's limit and the request's: from its cache, or by a run."""
    version = call.route.version
    predictor, now = snapshot.predictor(version), time.perf_counter()
    left = call.limits["REQUEST_LIMIT_S"] - (now - call.started)
    limit = min(version.hard_limit_s, left, timeout_s or left)
    inputs = call.inputs
    if inputs is None or limit <= 0:
        raise errors.PredictionTimeout("the request's own limit has passed")
    turn = coalescing.Turn(version, predictor, inputs, call.rows, now + limit, timeout_s is not None, now)
    if not version.cache_ttl_s:
        call.outputs = _run(call, turn)
        return
    call.answered = snapshot.answers().answer(
        version,
        inputs,
        run=lambda: _run(call, turn),
        # Half of its time is left to run by itself, should the one it waits for fail or take too long.
        wait=limit / 2,
        wish=cache_control.wish_of(wishes),
    )
    call.outputs = call.answered.outputs


def _run(call: Call, turn: coalescing.Turn) -> Tensors:
    """The one place where an online call reaches its predictor. Only outputs a client can read come out of it."""
    version = turn.version
    try:
        if version.row_cost_s[0] <= places.SLOW_ROW_S:
            call.outputs = coalescing.predict(turn)
        else:
            with places.of_model(version):
                call.outputs = coalescing.predict(turn)
    finally:
        call.queue_s, call.inference_s = turn.queue_s, turn.inference_s
    oip.check_outputs(call.outputs, version.signature, rows=call.rows, limit=call.limits["OUTPUT_LIMIT"])
    return call.outputs


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
    telling.failed(call.route.version, code, prediction_id=call.id)
    if isinstance(error, errors.DomainError):
        error.prediction_id = call.id
    return error
