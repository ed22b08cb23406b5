"""The record: the immutable fact kept about one finished prediction, and how a spooled call becomes one.

Framework-free: the server writes `SpooledCall` frames on the online path, the keeper turns them into records.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

#: Statuses a record can have; the same words as on the wire and in the ledger.
TERMINAL = ("succeeded", "failed", "canceled", "aborted")

#: At most so many values of the first instance are searchable by name, per record.
MAX_VALUES = 64


@dataclass(frozen=True, slots=True)
class Value:
    """One searchable value of the first instance: `side` is "input" or "output"."""

    side: str
    name: str
    number: float | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One document in the record store. Durations are milliseconds; `inputs`/`outputs` are JSON values.

    `door` is "online" or "queued"; `route` says why this version answered ("alias champion", "version 3");
    `rows` is the number of instances; `error` is empty on success.
    """

    id: UUID
    project: str
    model: str
    version: int
    version_id: UUID
    digest: str
    route: str
    door: str
    protocol: str
    status: str
    accepted_at: datetime
    completed_at: datetime
    key: str = ""
    request_id: str = ""
    error_code: str = ""
    error: str = ""
    rows: int = 0
    queue_ms: float = 0.0
    inference_ms: float = 0.0
    total_ms: float = 0.0
    cached: bool = False
    inputs: Any = None
    outputs: Any = None
    values: tuple[Value, ...] = ()


class SpooledTensor(msgspec.Struct, frozen=True, array_like=True):
    """A tensor as the online path leaves it: raw little-endian bytes, or JSON text for BYTES.

    When it was too large to keep, `data` holds the first rows only and `sha256` the digest of all of it.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: bytes
    sha256: str = ""


class SpooledCall(msgspec.Struct, frozen=True, array_like=True):
    """One online call as it stands in the spool: everything its record needs, in the order written.

    Times are seconds since the epoch (accepted_at) and seconds (queue_s, inference_s, total_s).
    """

    id: bytes
    project: str
    model: str
    version: int
    version_id: bytes
    digest: str
    route: str
    protocol: str
    status: str
    accepted_at: float
    total_s: float
    queue_s: float = 0.0
    inference_s: float = 0.0
    rows: int = 0
    key: str = ""
    request_id: str = ""
    error_code: str = ""
    error: str = ""
    cached: bool = False
    inputs: tuple[SpooledTensor, ...] = ()
    outputs: tuple[SpooledTensor, ...] = ()
