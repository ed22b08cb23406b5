"""Content codings of whole bodies: gzip and deflate, within a limit, in bounded steps."""

from __future__ import annotations

import zlib

from models_registry.errors import EncodingNotSupported, InvalidInput, TooLarge

#: Answers below this many bytes are sent as they are: compressing them costs more than it saves.
LEAST_BYTES = 1024

_STEP = 64 * 1024
#: zlib's window argument: gzip has a header of its own, "deflate" on the web is the zlib format.
_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


def check(coding: str) -> str:
    """The coding a `Content-Encoding` names, "" for none; raises `EncodingNotSupported`, the body still unread."""
    name = coding.strip().lower()
    if name in ("", "identity"):
        return ""
    if name not in _WINDOWS:
        raise EncodingNotSupported(f"content coding {name[:40]!r} is not read: send gzip, deflate or none")
    return name


def decompress(body: bytes, coding: str, *, limit: int) -> bytes:
    """The body without its `Content-Encoding`.

    Raises `EncodingNotSupported` for any but one of gzip and deflate, `TooLarge` as soon as `limit` bytes are
    passed, `InvalidInput` for damaged or unfinished data.
    """
    name = check(coding)
    if not name:
        return body
    engine = zlib.decompressobj(_WINDOWS[name])
    parts: list[bytes] = []
    size = 0
    rest = body
    try:
        while not engine.eof:
            part = engine.decompress(rest, _STEP)
            rest = engine.unconsumed_tail
            if not part and not rest:
                break
            size += len(part)
            if size > limit:
                raise TooLarge(f"the decompressed body is larger than the limit of {limit} bytes")
            parts.append(part)
    except zlib.error as error:
        raise InvalidInput(f"the body is not valid {name}") from error
    if not engine.eof or engine.unused_data:
        raise InvalidInput(f"the body is not one complete {name} stream")
    return b"".join(parts)


def accepted(header: str) -> str:
    """The coding to answer in, of what an `Accept-Encoding` header allows: "gzip", "deflate" or ""."""
    offered = {}
    for item in header.lower().split(","):
        name, _, weight = item.partition(";")
        offered[name.strip()] = weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return next((name for name in ("gzip", "deflate") if offered.get(name)), "")


def compress(body: bytes, coding: str) -> bytes:
    """The body in that coding, quickly rather than tightly."""
    engine = zlib.compressobj(1, zlib.DEFLATED, _WINDOWS[coding])
    return engine.compress(body) + engine.flush()
