"""Prediction ids: UUID version 7, whose first 48 bits are the milliseconds of acceptance (RFC 9562, 5.7)."""

from __future__ import annotations

import math
import os
import struct
import threading
import time
import uuid
from datetime import UTC, datetime

_lock = threading.Lock()
_last = 0

#: Random bytes are fetched for so many ids at once: a system call for each would cost as much as a small model, and
#: give up the interpreter's lock on the way. A child process begins with none of its parent's.
_IDS_AT_ONCE = 256
_random: list[int] = []
os.register_at_fork(after_in_child=_random.clear)


def _tail() -> int:
    """62 random bits, used for one id only."""
    while True:
        try:
            return _random.pop()
        except IndexError:
            octets = os.urandom(8 * _IDS_AT_ONCE)
            _random.extend(number & 0x3FFF_FFFF_FFFF_FFFF for number in struct.unpack(f"={_IDS_AT_ONCE}Q", octets))


def of_number(number: int) -> uuid.UUID:
    """The UUID of a number that is known to be one: without the checks of its constructor, which take as long as all
    else that minting does."""
    made = _new(uuid.UUID)
    _set(made, "int", number)
    _set(made, "is_safe", _UNKNOWN)
    return made


def of_bytes(octets: bytes) -> uuid.UUID:
    """The id these 16 bytes stand for. Raises `ValueError` for any other number of them."""
    if len(octets) != 16:
        raise ValueError(f"an id has 16 bytes, not {len(octets)}")
    return of_number(int.from_bytes(octets, "big"))


_new, _set, _UNKNOWN = object.__new__, object.__setattr__, uuid.SafeUUID.unknown


def text_of(number: int) -> str:
    """The same as text, 36 characters."""
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def mint() -> uuid.UUID:
    """Return a new UUIDv7; within one process every id is greater than the one before."""
    return of_number(mint_number())


def mint_number() -> int:
    """The same as a number of 128 bits.

    The 12 bits after the version count up within a millisecond (RFC 9562, 6.2, method 1), so that ids
    sort as they were minted even when the clock stands still or steps back.
    """
    global _last
    tail = _tail()
    now = time.time_ns() // 1_000_000 << 12
    with _lock:
        _last = stamp = now if now > _last else _last + 1
    return (stamp >> 12) << 80 | _VERSION_7 | (stamp & 0xFFF) << 64 | _VARIANT | tail


_VERSION_7, _VARIANT = 0x7 << 76, 0x2 << 62


def time_of(identifier: uuid.UUID) -> datetime:
    """Return the moment (UTC, milliseconds) that a UUIDv7 carries: the one source of a record's day."""
    return datetime.fromtimestamp((identifier.int >> 80) / 1000, UTC)


def first_of(moment: datetime) -> uuid.UUID:
    """The least id a UUIDv7 minted at this moment can have: ids from `moment` on are greater or equal."""
    milliseconds = max(0, math.ceil(moment.timestamp() * 1000))
    return uuid.UUID(int=min(milliseconds, 2**48 - 1) << 80)
