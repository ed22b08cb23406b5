"""What every protocol decodes into and encodes from: one request, one answer, as tensors by name."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import msgspec

from models_registry.routing import Route
from models_registry.runtime.signature import Tensors


class InferenceRequest(msgspec.Struct, frozen=True):
    """A decoded and validated request: tensors keyed by the signature's input names, rows on axis 0.

    A struct, as all that is made for each online call: a frozen dataclass takes ten times as long to make.
    `outputs` are the names asked for, in order; empty means all of them.
    """

    inputs: Tensors
    rows: int
    outputs: tuple[str, ...] = ()
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class InferenceAnswer:
    """What the model said: tensors keyed by the signature's output names. Times are seconds."""

    id: UUID
    route: Route
    outputs: Tensors
    queue_s: float = 0.0
    inference_s: float = 0.0
    cached: bool = False
