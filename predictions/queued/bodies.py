"""Reading a request of the queued door: its body, raw and bounded, before any parser is chosen."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from models_registry import errors
from predictions.protocols import encodings

_JSON = re.compile(r'application/(?:[\w.-]+\+)?json\s*(?:;\s*charset="?utf-?8"?\s*)?;?\s*', re.IGNORECASE)
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")


def body_of(environ: Mapping[str, Any], read: Callable[[int], bytes], limit: int) -> bytes:
    """The whole body, decompressed, at most `limit` bytes before and after; `read` gives it once its length is known.

    Raises `TooLarge` and `EncodingNotSupported` with the body unread, `LengthMissing` for a body in chunks, whose
    bytes a WSGI server hands over without an end.
    """
    length = environ.get("CONTENT_LENGTH") or "0"
    if "HTTP_TRANSFER_ENCODING" in environ:
        raise errors.LengthMissing("send a body with a Content-Length, not in chunks")
    if not (length.isascii() and length.isdigit() and len(length) < 16):
        raise errors.Malformed("Content-Length is no length", field="Content-Length")
    if int(length) > limit:
        raise errors.TooLarge(f"the body has {length} bytes, the limit is {limit}")
    kind = environ.get("CONTENT_TYPE", "")
    if kind and kind != "application/json" and not _JSON.fullmatch(kind):
        raise errors.EncodingNotSupported(f"send application/json in UTF-8, not {kind[:80]!r}")
    coding = encodings.check(environ.get("HTTP_CONTENT_ENCODING", ""))
    body = read(int(length)) if length != "0" else b""
    if len(body) != int(length):
        # The client left before all was sent: half a body that happens to parse is not what it meant.
        raise errors.Incomplete(f"the body ended after {len(body)} of {length} bytes")
    return encodings.decompress(body, coding, limit=limit)


def request_id_of(environ: Mapping[str, Any]) -> str:
    """The client's own id of the request, when it is one that can be stored and echoed."""
    found = environ.get("HTTP_X_REQUEST_ID", "")
    return found if found and _REQUEST_ID.fullmatch(found) else ""


def base_of(environ: Mapping[str, Any]) -> str:
    """Scheme, host and mount point of the API, without a trailing slash; the host has been checked."""
    mount = str(environ.get("SCRIPT_NAME", "")).rstrip("/")
    host = environ.get("HTTP_HOST") or _named(environ)
    return f"{environ['wsgi.url_scheme']}://{host}{mount}"


def _named(environ: Mapping[str, Any]) -> str:
    """What the server calls itself, for a request that names no host (PEP 3333, URL reconstruction)."""
    usual = {"http": "80", "https": "443"}[environ["wsgi.url_scheme"]]
    port = environ["SERVER_PORT"]
    return str(environ["SERVER_NAME"]) + (f":{port}" if port != usual else "")
