"""Prediction ids: UUID version 7, whose first 48 bits are the milliseconds of acceptance (RFC 9562, 5.7)."""

from __future__ import annotations

import math
import os
import threading
import time
import uuid
from datetime import UTC, datetime

_lock = threading.Lock()
_last = 0


def mint() -> uuid.UUID:
    """Return a new UUIDv7; within one process every id is greater than the one before.

    The 12 bits after the version count up within a millisecond (RFC 9562, 6.2, method 1), so that ids
    sort as they were minted even when the clock stands still or steps back.
    """
    global _last
    tail = int.from_bytes(os.urandom(8), "big") & 0x3FFF_FFFF_FFFF_FFFF
    with _lock:
        _last = max(time.time_ns() // 1_000_000 << 12, _last + 1)
        stamp = _last
    return uuid.UUID(int=(stamp >> 12) << 80 | 0x7 << 76 | (stamp & 0xFFF) << 64 | 0x2 << 62 | tail)


def time_of(identifier: uuid.UUID) -> datetime:
    """Return the moment (UTC, milliseconds) that a UUIDv7 carries: the one source of a record's day."""
    return datetime.fromtimestamp((identifier.int >> 80) / 1000, UTC)


def first_of(moment: datetime) -> uuid.UUID:
    """The least id a UUIDv7 minted at this moment can have: ids from `moment` on are greater or equal."""
    milliseconds = max(0, math.ceil(moment.timestamp() * 1000))
    return uuid.UUID(int=min(milliseconds, 2**48 - 1) << 80)
