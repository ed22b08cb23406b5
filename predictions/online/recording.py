"""The record of an online call, written into the spool before the answer leaves."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from models_registry import errors
from models_registry.per_version import MOST, PerVersion
from models_registry.principals import Principal
from models_registry.response_cache import Answered, Outcome
from models_registry.routing import Route, Version
from models_registry.runtime.signature import Signature, Tensors, TensorSpec
from models_registry.runtime.tensors import Array
from monitoring import ids, keeping, records, spooling
from monitoring.logs import context
from monitoring.privacy import Guard
from monitoring.spool import SpoolFull
from predictions import protection

#: Longest error text that is kept, in characters.
MOST_ERROR = 2000

PROTOCOL = "oip"


class _Field(NamedTuple):
    """A tensor as records name it; `columns` are names under which the elements of its first row are searchable."""

    name: str
    datatype: str
    columns: tuple[str, ...]


class Call(msgspec.Struct):
    """One call from the moment a version was chosen; what is known of it grows along the path.

    Times: `accepted_at` seconds since the epoch, `started` of the monotonic clock; `total_s` until its record is
    written, `queue_s` waiting for a turn of the model, `inference_s` inside of it and `encode_s` from its outputs to
    the answer, in seconds. `limits` is the setting
    SERVING. `octets` are its id, of which few calls need the object.
    """

    principal: Principal
    route: Route
    accepted_at: float
    started: float
    limits: Mapping[str, Any]
    octets: bytes = msgspec.field(default_factory=ids.mint_octets)
    request_id: str = ""
    subject: str = ""
    rows: int = 0
    total_s: float = 0.0
    queue_s: float = 0.0
    inference_s: float = 0.0
    encode_s: float = 0.0
    inputs: Tensors | None = None
    outputs: Tensors | None = None
    answered: Answered | None = None

    @property
    def id(self) -> UUID:
        return ids.of_bytes(self.octets)

    @property
    def cached(self) -> bool:
        """Whether the model was not run for this call: its answer was kept, or an equal call's."""
        return self.answered is not None and self.answered.outcome in (Outcome.HIT, Outcome.COLLAPSED)


def keep(call: Call, error: BaseException | None = None) -> None:
    """Write the call's record; when this returns, no death of the process loses it. Raises `Unavailable`."""
    version = call.route.version
    form = _form_of(version)
    call.total_s = time.perf_counter() - call.started
    guard = protection.guard_of(version) if version.privacy else None
    own = (
        call.accepted_at,
        call.total_s,
        call.queue_s,
        call.inference_s,
        call.rows,
        call.principal.key,
        call.request_id,
        "" if error is None else code_of(error),
        "" if error is None else _text(error, guard),
        call.answered is not None and call.cached,
        _kept("input", form.inputs, call.inputs, guard),
        _kept("output", form.outputs, call.outputs, guard),
        call.subject,
        context.trace_id(),
    )
    known = form.known(call.route.reason, "succeeded" if error is None else "failed")
    try:
        spooling.append(records.encode_known(call.octets, known, own))
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


def _kept(side: str, form: _Side, tensors: Tensors | None, guard: Guard | None) -> Any:
    """The tensors of one side as `SpooledCall` has them, encoded or to be encoded."""
    if tensors is None:
        return ()
    encoded = form.encoded(tensors) if guard is None else None
    if encoded is not None:
        return encoded
    kept = [
        keeping.tensor(name, datatype, tensors[name], columns)
        for name, datatype, columns in form.fields
        if name in tensors
    ]
    return keeping.keep_tensors(kept if guard is None else guard.tensors(side, kept))


#: Shapes that are remembered for each tensor.
_MOST_SHAPES = 1000


class _Side:
    """The inputs, or the outputs, of versions alike. `fields` are their tensors."""

    __slots__ = ("_begun", "_shares", "fields")

    def __init__(self, fields: Sequence[_Field]) -> None:
        self.fields = fields
        self._begun = records.tensors_begun(len(fields))
        self._shares = [_Share(field) for field in fields]

    def encoded(self, tensors: Tensors) -> msgspec.Raw | None:
        """What `keeping` would keep, encoded in a third of the time; None where something is missing, or text is too
        large."""
        parts, size = [self._begun], 0
        for share in self._shares:
            array = tensors.get(share.name)
            if array is None:
                return None
            octets = array.nbytes
            if size + octets > keeping.ONLINE_LIMIT:
                return self._cut(tensors)
            head = share.heads.get((octets, array.shape)) or share.head(array)
            data = array.tobytes() if share.is_numeric else records.encode(keeping.data_of("BYTES", array))
            size += len(data)
            parts += (head, data, share.tail)
        return msgspec.Raw(b"".join(parts)) if size <= keeping.ONLINE_LIMIT else self._cut(tensors)

    def _cut(self, tensors: Tensors) -> msgspec.Raw | None:
        """A side that is too large: of each tensor its first rows and its digest."""
        most, parts = keeping.ONLINE_LIMIT // len(self._shares), [self._begun]
        for share in self._shares:
            array = tensors.get(share.name)
            if array is None or not share.is_numeric:
                return None
            data, digest = keeping.cut_numbers(array, most)
            parts += (share.begun(array.shape), records.encode(data), records.tensor_tail(share.columns, digest))
        return msgspec.Raw(b"".join(parts))


class _Share:
    """What records of one tensor share: what stands before its data, by bytes and shape, and behind them."""

    __slots__ = ("_datatype", "columns", "heads", "is_numeric", "name", "tail")

    def __init__(self, field: _Field) -> None:
        self.name, self._datatype, self.columns = field
        self.is_numeric = self._datatype != "BYTES"
        self.heads: dict[tuple[int, tuple[int, ...]], bytes] = {}
        self.tail = records.tensor_tail(self.columns)

    def head(self, array: Array) -> bytes:
        """Up to the data; of numbers with the length of their bytes, which those that come here do not differ in."""
        if len(self.heads) >= _MOST_SHAPES:
            self.heads.clear()
        head = self.begun(array.shape)
        if self.is_numeric:
            head += records.octets_begun(array.nbytes)
        self.heads[array.nbytes, array.shape] = head
        return head

    def begun(self, shape: tuple[int, ...]) -> bytes:
        return records.tensor_head(self.name, self._datatype, shape)


#: Reasons of a route that are remembered for each version.
_MOST_REASONS = 100


class _Form:
    """What the records of one version share, made once. `inputs` and `outputs` are its tensors."""

    __slots__ = ("_known", "inputs", "outputs", "version")

    def __init__(self, version: Version) -> None:
        signature = version.signature
        self.version = version
        self.inputs = _side(signature.inputs, signature)
        self.outputs = _side(signature.outputs, signature)
        self._known: dict[tuple[str, str], bytes] = {}

    def known(self, reason: str, status: str) -> bytes:
        """The fields that calls with this reason of their route and this status share, encoded."""
        found = self._known.get((reason, status))
        if found is None:
            version = self.version
            fields = records.KnownFields(
                project=version.project,
                model=version.model,
                version=version.number,
                version_id=version.id.bytes,
                digest=version.digest,
                route=reason,
                protocol=PROTOCOL,
                status=status,
            )
            if len(self._known) >= _MOST_REASONS:
                self._known.clear()
            found = self._known[reason, status] = fields.encoded()
        return found


def _side(specs: Sequence[TensorSpec], signature: Signature) -> _Side:
    return _shared_side(tuple(_Field(spec.name, spec.datatype, _columns(spec, signature)) for spec in specs))


#: Versions that take or give the same share what their records share.
_shared_side = lru_cache(MOST)(_Side)
_form_of = PerVersion(_Form).of


def _columns(spec: TensorSpec, signature: Signature) -> tuple[str, ...]:
    """Names under which the first row is searchable: features by column, probabilities by class."""
    if spec.columns or len(spec.shape) != 2 or spec.shape[1] != len(signature.classes):
        return spec.columns
    return tuple(f"{spec.name}.{label}" for label in signature.classes)
