"""Reading a request of the queued door: its body, raw and bounded, before any parser is chosen."""

from __future__ import annotations

import re
from typing import Any

from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request

from models_registry import errors
from predictions.protocols import encodings

_JSON = re.compile(r'application/(?:[\w.-]+\+)?json\s*(?:;\s*charset="?utf-?8"?\s*)?;?\s*', re.IGNORECASE)
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")


class AnyAnswer(BaseContentNegotiation):
    """The first parser and renderer, whatever the client says: clients here send no or any type."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


def body_of(request: Request, limit: int) -> bytes:
    """The whole body, decompressed, at most `limit` bytes before and after.

    Raises `TooLarge` and `EncodingNotSupported` with the body unread, `LengthMissing` for a body in chunks, whose
    bytes a WSGI server hands over without an end.
    """
    meta = request.META
    length = meta.get("CONTENT_LENGTH") or "0"
    if "HTTP_TRANSFER_ENCODING" in meta:
        raise errors.LengthMissing("send a body with a Content-Length, not in chunks")
    if not (length.isascii() and length.isdigit() and len(length) < 16):
        raise errors.Malformed("Content-Length is no length", field="Content-Length")
    if int(length) > limit:
        raise errors.TooLarge(f"the body has {length} bytes, the limit is {limit}")
    kind = meta.get("CONTENT_TYPE", "")
    if kind and not _JSON.fullmatch(kind):
        raise errors.EncodingNotSupported(f"send application/json in UTF-8, not {kind[:80]!r}")
    coding = encodings.check(meta.get("HTTP_CONTENT_ENCODING", ""))
    body = request._request.body
    if len(body) != int(length):
        # The client left before all was sent: half a body that happens to parse is not what it meant.
        raise errors.Malformed(f"the body ends after {len(body)} of {length} bytes")
    return encodings.decompress(body, coding, limit=limit)


def request_id_of(request: Request) -> str:
    """The client's own id of the request, when it is one that can be stored and echoed."""
    found = request.META.get("HTTP_X_REQUEST_ID", "")
    return found if _REQUEST_ID.fullmatch(found) else ""
