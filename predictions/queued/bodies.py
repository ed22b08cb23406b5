"""Reading a request of the queued door: its body, raw and bounded, before any parser is chosen."""

from __future__ import annotations

import re
from typing import Any

from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request

from models_registry import errors

_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")


class AnyAnswer(BaseContentNegotiation):
    """The first parser and renderer, whatever the client says: clients here send no or any type."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


def body_of(request: Request, limit: int) -> bytes:
    """The whole body. Raises `TooLarge` unread beyond `limit` bytes, `InvalidInput` for a coding not taken."""
    meta = request.META
    length = meta.get("CONTENT_LENGTH") or "0"
    if int(length) > limit:
        raise errors.TooLarge(f"the body has {length} bytes, the limit is {limit}")
    coding = meta.get("HTTP_CONTENT_ENCODING", "identity").strip().lower()
    if coding not in ("", "identity"):
        raise errors.FormatNotAllowed(f"Content-Encoding {coding[:40]!r} is not taken here")
    return request._request.body


def request_id_of(request: Request) -> str:
    """The client's own id of the request, when it is one that can be stored and echoed."""
    found = request.META.get("HTTP_X_REQUEST_ID", "")
    return found if _REQUEST_ID.fullmatch(found) else ""
