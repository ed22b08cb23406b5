"""The record of an online call, written into the spool before the answer leaves."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from models_registry import errors
from models_registry.principals import Principal
from models_registry.response_cache import Answered, Outcome
from models_registry.routing import Route, Version
from models_registry.runtime.signature import Signature, Tensors, TensorSpec
from monitoring import keeping, records, spooling
from monitoring.ids import mint
from monitoring.logs import context
from monitoring.privacy import Guard
from monitoring.spool import SpoolFull
from predictions import protection

#: Longest error text that is kept, in characters.
MOST_ERROR = 2000

PROTOCOL = "oip"

_Names = Mapping[str, tuple[str, ...]]


@dataclass(slots=True)
class Call:
    """One call from the moment a version was chosen; what is known of it grows along the path.

    Times: `accepted_at` seconds since the epoch, `started` of the monotonic clock; `queue_s` waiting for a turn of the
    model, `inference_s` inside of it and `encode_s` from its outputs to the answer, in seconds.
    """

    principal: Principal
    route: Route
    accepted_at: float
    started: float
    id: UUID = field(default_factory=mint)
    request_id: str = ""
    subject: str = ""
    rows: int = 0
    queue_s: float = 0.0
    inference_s: float = 0.0
    encode_s: float = 0.0
    inputs: Tensors | None = None
    outputs: Tensors | None = None
    answered: Answered | None = None

    @property
    def total_s(self) -> float:
        return time.perf_counter() - self.started

    @property
    def cached(self) -> bool:
        """Whether the model was not run for this call: its answer was kept, or an equal call's."""
        return self.answered is not None and self.answered.outcome in (Outcome.HIT, Outcome.COLLAPSED)


def keep(call: Call, error: BaseException | None = None) -> None:
    """Write the call's record; when this returns, no death of the process loses it. Raises `Unavailable`."""
    version = call.route.version
    _, inputs, outputs = _names_of(version)
    guard = protection.guard_of(version)
    spooled = records.SpooledCall(
        id=call.id.bytes,
        project=version.project,
        model=version.model,
        version=version.number,
        version_id=version.id.bytes,
        digest=version.digest,
        route=call.route.reason,
        protocol=PROTOCOL,
        status="succeeded" if error is None else "failed",
        accepted_at=call.accepted_at,
        total_s=call.total_s,
        queue_s=call.queue_s,
        inference_s=call.inference_s,
        rows=call.rows,
        key=call.principal.key,
        request_id=call.request_id,
        error_code=code_of(error) if error is not None else "",
        error=_text(error, guard),
        cached=call.cached,
        inputs=_kept("input", version.signature.inputs, call.inputs, names=inputs, guard=guard),
        outputs=_kept("output", version.signature.outputs, call.outputs, names=outputs, guard=guard),
        subject=call.subject,
        trace_id=context.trace_id(),
    )
    try:
        spooling.append(records.encode_call(spooled))
    except SpoolFull as full:
        raise errors.Unavailable(
            "records wait for their store, and there is no room for another", retry_after=full.retry_after
        ) from full


def code_of(error: BaseException) -> str:
    """The error's stable word; a fault of our own has "internal"."""
    return error.code if isinstance(error, errors.DomainError) else "internal"


def _text(error: BaseException | None, guard: Guard | None) -> str:
    text = str(error)[:MOST_ERROR] if error is not None else ""
    return guard.error(text) if guard is not None else text


def _kept(
    side: str,
    specs: tuple[TensorSpec, ...],
    tensors: Tensors | None,
    *,
    names: Mapping[str, tuple[str, ...]],
    guard: Guard | None,
) -> tuple[records.SpooledTensor, ...]:
    if tensors is None:
        return ()
    kept = [
        keeping.tensor(spec.name, spec.datatype, tensors[spec.name], names[spec.name])
        for spec in specs
        if spec.name in tensors
    ]
    return keeping.keep_tensors(kept if guard is None else guard.tensors(side, kept))


#: Versions whose names of columns are remembered; the version itself is kept, so that no other has its id.
_MOST_NAMES = 10_000
_names: dict[int, tuple[Version, _Names, _Names]] = {}


def _names_of(version: Version) -> tuple[Version, _Names, _Names]:
    """Names under which the first row is searchable, of inputs and outputs by tensor; made once per version."""
    known = _names.get(id(version))
    if known is None or known[0] is not version:
        if len(_names) >= _MOST_NAMES:
            _names.clear()
        signature = version.signature
        known = _names[id(version)] = (
            version,
            {spec.name: _columns(spec, signature) for spec in signature.inputs},
            {spec.name: _columns(spec, signature) for spec in signature.outputs},
        )
    return known


def _columns(spec: TensorSpec, signature: Signature) -> tuple[str, ...]:
    """Names under which the first row is searchable: features by column, probabilities by class."""
    if spec.columns or len(spec.shape) != 2 or spec.shape[1] != len(signature.classes):
        return spec.columns
    return tuple(f"{spec.name}.{label}" for label in signature.classes)
