"""One strict JSON parser for every door: what it returns can be stored, compared and sent anywhere.

orjson decodes (about 2 ms per MB of numbers) and itself refuses bad UTF-8, a byte order mark, NaN, Infinity,
numbers that overflow to infinity, lone surrogates and nesting beyond 1,024. What it lets pass is found on the
body's skeleton: the bytes `[]{}:` outside strings, taken out with C-speed replacements, empty of data and so
short for ordinary bodies. From it come the exact depth and the exact number of keys: fewer keys in the parsed
value than in the text means a duplicate. No body, however built, costs more than 50 ms of CPU per MB.
"""

from __future__ import annotations

import json
from itertools import chain
from typing import Any

import numpy as np
import orjson

from models_registry.errors import InvalidInput, Malformed

#: Lists and objects in one body. Empty ones cost 60 to 230 bytes each for 3 bytes of text, so 16 MiB of `[],` would
#: otherwise take 350 MB; 10,000 rows of 20 lists still fit.
MAX_CONTAINERS = 250_000
#: Objects in one body: each costs some 600 bytes and 0.2 µs to check, for as little as 8 bytes of text. Five times the
#: rows that one request may hold.
MAX_OBJECTS = 50_000
#: Values in one body: two million floats are 64 MB while the request lasts.
MAX_VALUES = 2_000_000

_NOT_STRUCTURE = bytes(byte for byte in range(256) if byte not in b'[]{}:,"')
_QUOTE = ord('"')
_STEP = np.zeros(256, dtype=np.int8)
_STEP[list(b"[{")] = 1
_STEP[list(b"]}")] = -1

#: Objects among which a duplicate key is looked up by name, with the slow parser; among more it is only refused.
_NAMED_WITHIN = 20_000

#: Members looked through for the place of a NUL, so that naming it costs little.
_LOOKED_THROUGH = 100_000

#: orjson's words → ours; anything else is "not valid JSON" with its own words behind.
_REASONS = {
    "number is infinity when parsed as double": "a number is too large for a 64-bit float",
    "depth limit exceeded": "nested too deeply",
    "failed to allocate memory": "nested too deeply",
    "no low surrogate in string": "a string holds a lone surrogate",
    "invalid high surrogate in string": "a string holds a lone surrogate",
    "invalid low surrogate in string": "a string holds a lone surrogate",
    "str is not valid UTF-8: surrogates not allowed": "the body is not valid UTF-8",
}


def loads(body: bytes, *, max_depth: int = 64) -> Any:
    """Decode one JSON document; integers beyond 64 bits become floats.

    Raises `Malformed` for anything that is not strictly JSON in UTF-8, for duplicate keys, NaN, Infinity, numbers
    that overflow and more than `max_depth` levels; its parent `InvalidInput` for text that is well-formed and cannot
    be stored: lone surrogates, and NUL in a string or key.
    """
    _refuse_swarms(body)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        reason = error.msg.partition(": line ")[0]
        where = f"line {error.lineno} column {error.colno}"
        kind = InvalidInput if "surrogate in string" in reason else Malformed
        raise kind(f"not valid JSON: {_REASONS.get(reason, reason)} ({where})") from None
    if type(value) is list or type(value) is dict:
        skeleton = _skeleton(body)
        _refuse_depth(skeleton, max_depth)
        _refuse_duplicates(body, value, skeleton)
    if b"\\u0000" in body and b"\\u0000" in body.replace(b"\\\\", b""):
        raise InvalidInput("a string holds the character NUL", field=_where_nul(value))
    return value


def object_of(value: Any, *, allowed: frozenset[str], field: str = "") -> dict[str, Any]:
    """The value as an object with no key beyond `allowed`; `field` is its JSON pointer, empty for the body itself.

    Raises `InvalidInput` pointing at the first unknown key.
    """
    if type(value) is not dict:
        raise InvalidInput(f"{field[1:] or 'the body'} must be a JSON object", field=field or None)
    for key in value:
        if key not in allowed:
            raise InvalidInput(f"unknown field {key[:100]!r}", field=f"{field}/{key[:100]}")
    return value


def _refuse_swarms(body: bytes) -> None:
    """Refuse, before a parser allocates for them, more containers or values than any real request has."""
    objects = body.count(b"{")
    if objects > MAX_OBJECTS or body.count(b"[") + objects > MAX_CONTAINERS or body.count(b",") > MAX_VALUES:
        # Only an upper bound: brackets and commas inside strings do not count.
        skeleton = _skeleton(body)
        if skeleton.count(b"[") + skeleton.count(b"{") > MAX_CONTAINERS:
            raise Malformed(f"more than {MAX_CONTAINERS} lists and objects in one body")
        if skeleton.count(b"{") > MAX_OBJECTS:
            raise Malformed(f"more than {MAX_OBJECTS} objects in one body")
        if skeleton.count(b",") > MAX_VALUES:
            raise Malformed(f"more than {MAX_VALUES} values in one body")


def _skeleton(body: bytes) -> bytes:
    """The bytes `[]{}:,` of the body that stand outside strings, in order."""
    if b"\\" in body:  # left to right, so an escaped backslash never hides or makes an escaped quote
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    bare = body.translate(None, _NOT_STRUCTURE)
    # Taking out two neighbouring quotes never changes what is inside and what outside; the quotes that remain
    # stand around structure bytes.
    bare = bare.replace(b'""', b"")
    if b'"' not in bare:
        return bare
    marks = np.frombuffer(bare, dtype=np.uint8)
    quotes = marks == _QUOTE
    outside = np.cumsum(quotes, dtype=np.uint8) & 1 == 0  # wraps at 256, which is even: only parity counts
    return bytes(marks[outside & ~quotes].tobytes())


def _refuse_depth(skeleton: bytes, max_depth: int) -> None:
    if skeleton.count(b"[") + skeleton.count(b"{") <= max_depth:
        return
    brackets = skeleton.translate(None, b":,")
    steps = _STEP[np.frombuffer(brackets, dtype=np.uint8)]
    if int(np.cumsum(steps, dtype=np.int32).max()) > max_depth:
        raise Malformed(f"not valid JSON: nested more than {max_depth} levels deep")


def _refuse_duplicates(body: bytes, value: Any, skeleton: bytes) -> None:
    """A key given twice is one entry in the parsed value and two colons in the text."""
    objects = skeleton.count(b"{")
    if _entries(value, objects=objects) == skeleton.count(b":"):
        return
    if objects <= _NAMED_WITHIN:
        json.loads(body, object_pairs_hook=_refuse_twice)
    raise Malformed("not valid JSON: a key appears twice in one object")


def _entries(value: Any, *, objects: int) -> int:
    """Keys in all objects of a value; stops as soon as `objects` of them were seen, mostly before the data."""
    entries = 0
    level: list[Any] = [value]
    while level and objects:
        dicts = [item for item in level if type(item) is dict]
        entries += sum(map(len, dicts))
        objects -= len(dicts)
        if not objects:
            return entries
        lists = [item for item in level if type(item) is list]
        members = [*chain.from_iterable(map(dict.values, dicts)), *chain.from_iterable(lists)]
        if _CONTAINERS.isdisjoint(map(type, members)):
            return entries
        level = [member for member in members if type(member) in _CONTAINERS]
    # A duplicate whose value held objects took them along: fewer were seen than stand in the text.
    return entries


_CONTAINERS = frozenset((list, dict))


def _refuse_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise Malformed(f"the key {key[:100]!r} appears twice in one object", field=key[:100])
            seen.add(key)
    return members


def _where_nul(value: Any) -> str | None:
    """JSON pointer of a string, or of the object whose key, holds NUL; None when it is far inside a large body."""
    stack: list[tuple[str, Any]] = [("", value)]
    left = _LOOKED_THROUGH
    while stack and left > 0:
        path, item = stack.pop()
        if type(item) is str:
            return path
        if type(item) is dict and any("\x00" in key for key in item):
            return path
        members = item.items() if type(item) is dict else enumerate(item[:left])
        left -= len(item)
        stack.extend(
            (f"{path}/{name}", member)
            for name, member in members
            if type(member) in _CONTAINERS or (type(member) is str and "\x00" in member)
        )
    return None
