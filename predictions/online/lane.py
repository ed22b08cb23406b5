"""The lane: a WSGI callable in front of Django for exactly `POST /v2/models/…/infer`.

It hands to Django whatever carries a session cookie, asks for `text/html`, or names a host or a path that it would
have to refuse: such requests are answered by the one code that also answers everyone else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from models_registry import errors, snapshot
from models_registry.api.authentication import check_origin
from models_registry.every_call import CURRENT
from predictions.online import counting, inference, names

logger = logging.getLogger(__name__)

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]
RenderError = Callable[[BaseException], tuple[int, list[tuple[str, str]], bytes]]

_PREFIX, _VERB = "/v2/models/", "/infer"
#: Paths that are remembered with what they name.
_MOST_PLACES = 10_000
_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}

_MOST_DIGITS = 20
#: Bytes of a body that is asked for by its length: Granian then ends with the last byte instead of the end of the
#: stream, which its network thread would have to tell first. A larger one it would copy several times.
_SMALL = 64 * 1024


def declared_length(environ: Environ, limit: int) -> int:
    """The body's declared length. Raises `LengthMissing` for a chunked one, `TooLarge` beyond `limit`, unread."""
    if environ.get("HTTP_TRANSFER_ENCODING"):
        raise errors.LengthMissing("the body's length must be declared: send Content-Length, not chunks")
    declared = environ.get("CONTENT_LENGTH") or "0"
    if not (declared.isdecimal() and declared.isascii() and len(declared) < _MOST_DIGITS):
        raise errors.InvalidInput("Content-Length is not a number", field="Content-Length")
    length = int(declared)
    if length > limit:
        raise errors.TooLarge(f"the body is larger than the limit of {limit} bytes")
    return length


class Lane:
    """Answers infer calls itself and passes everything else on to `application`."""

    def __init__(self, application: Application, *, render_error: RenderError) -> None:
        self._application = application
        self._render_error = render_error
        self._hosts: set[str] = set()
        self._places: dict[str, names.Place] = {}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        place = self._place(environ)
        if place is None:
            return self._application(environ, start_response)
        try:
            answer = self._infer(environ, place)
        except Exception as error:
            if not isinstance(error, errors.DomainError):
                logger.exception("infer failed by a fault of ours", extra={"action": "infer_failed"})
            status, headers, body = self._render_error(error)
            start_response(_LINES[status], headers)
            return [body]
        start_response("200 OK", [*answer.headers, ("Content-Length", str(len(answer.body)))])
        return [answer.body]

    def _place(self, environ: Environ) -> names.Place | None:
        """Which model an infer call is for; None when the request is not the lane's."""
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] != "POST" or not path.endswith(_VERB):
            return None
        if "sessionid=" in environ.get("HTTP_COOKIE", "") or "text/html" in environ.get("HTTP_ACCEPT", ""):
            return None
        if not self._is_allowed(environ.get("HTTP_HOST", "")):
            return None
        return self._places.get(path) or self._split(path)

    def _split(self, path: str) -> names.Place | None:
        if not path.startswith(_PREFIX) or not path.isascii():
            return None
        place = names.split(path[len(_PREFIX) : -len(_VERB)])
        if place is not None and len(self._places) < _MOST_PLACES:
            self._places[path] = place
        return place

    def _is_allowed(self, host: str) -> bool:
        if host in self._hosts:
            return True
        domain, _ = split_domain_port(host)
        allowed = bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)
        if allowed and len(self._hosts) < 1000:
            self._hosts.add(host)
        return allowed

    def _infer(self, environ: Environ, place: names.Place) -> inference.Answer:
        try:
            length = declared_length(environ, CURRENT.serving["ONLINE_BODY_LIMIT"])
            check_origin(environ)
            principal = snapshot.authenticate(environ.get("HTTP_AUTHORIZATION"))
        except errors.DomainError as error:
            counting.refused(error.code)
            raise
        asked = inference.Asked(
            name=place.name,
            wanted=place.wanted,
            read=lambda: _read(environ, length),
            header_length=environ.get("HTTP_INFERENCE_HEADER_CONTENT_LENGTH"),
            coding=environ.get("HTTP_CONTENT_ENCODING", ""),
            accepts=environ.get("HTTP_ACCEPT_ENCODING", ""),
            cache_control=environ.get("HTTP_CACHE_CONTROL", ""),
            subject=environ.get("HTTP_X_SUBJECT_ID", ""),
        )
        return inference.infer(principal, asked)


def _read(environ: Environ, length: int) -> bytes:
    read = environ["wsgi.input"].read
    return whole(b"" if not length else read(length) if length <= _SMALL else read(), length)


def whole(body: bytes, length: int) -> bytes:
    """`body` when it is all of the `length` bytes declared. Raises `Incomplete`, of which nobody reads the answer."""
    if len(body) != length:
        raise errors.Incomplete(f"the body ended after {len(body)} of {length} bytes")
    return body
