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
_tails: list[int] = []
os.register_at_fork(after_in_child=_tails.clear)

_VERSION_7, _VARIANT, _RANDOM = 0x7000, 0x8000_0000_0000_0000, 0x3FFF_FFFF_FFFF_FFFF
_pack = struct.Struct(">QQ").pack


def _tail() -> int:
    """The last 64 bits of one id only: the variant and 62 random bits."""
    while True:
        try:
            return _tails.pop()
        except IndexError:
            octets = os.urandom(8 * _IDS_AT_ONCE)
            _tails.extend(number & _RANDOM | _VARIANT for number in struct.unpack(f"={_IDS_AT_ONCE}Q", octets))


def of_bytes(octets: bytes) -> uuid.UUID:
    """The id these 16 bytes stand for. Raises `ValueError` for any other number of them.

    Without the checks of UUID's constructor, which take as long as all else that minting does.
    """
    if len(octets) != 16:
        raise ValueError(f"an id has 16 bytes, not {len(octets)}")
    made = _new(uuid.UUID)
    _set(made, "int", int.from_bytes(octets, "big"))
    _set(made, "is_safe", _UNKNOWN)
    return made


_new, _set, _UNKNOWN = object.__new__, object.__setattr__, uuid.SafeUUID.unknown


def text_of(octets: bytes) -> str:
    """The same as text, 36 characters."""
    digits = octets.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def mint() -> uuid.UUID:
    """Return a new UUIDv7; within one process every id is greater than the one before."""
    return of_bytes(mint_octets())


def mint_octets() -> bytes:
    """The same as 16 bytes, of which few calls need the object.

    The 12 bits after the version count up within a millisecond (RFC 9562, 6.2, method 1), so that ids
    sort as they were minted even when the clock stands still or steps back.
    """
    global _last
    tail = _tail()
    now = time.time_ns() // 1_000_000 << 12
    with _lock:
        _last = stamp = now if now > _last else _last + 1
    return _pack((stamp & ~0xFFF) << 4 | _VERSION_7 | stamp & 0xFFF, tail)


def time_of(identifier: uuid.UUID) -> datetime:
    """Return the moment (UTC, milliseconds) that a UUIDv7 carries: the one source of a record's day."""
    return datetime.fromtimestamp((identifier.int >> 80) / 1000, UTC)


def first_of(moment: datetime) -> uuid.UUID:
    """The least id a UUIDv7 minted at this moment can have: ids from `moment` on are greater or equal."""
    milliseconds = max(0, math.ceil(moment.timestamp() * 1000))
    return uuid.UUID(int=min(milliseconds, 2**48 - 1) << 80)
