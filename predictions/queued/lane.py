"""The queued lane: a WSGI callable in front of Django for POST of predictions and GET of one.

Like the online lane it hands to Django whatever carries a session cookie, asks for `text/html`, or names a host or a
path that it would have to refuse. What Django and DRF add to a request costs ten times what accepting it does.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from contextvars import copy_context
from functools import partial
from http import HTTPStatus
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from models_registry import errors, snapshot
from models_registry.api.authentication import check_origin
from monitoring import tracing
from monitoring.background import fresh_connection
from predictions import later, places
from predictions.queued import bodies, door

logger = logging.getLogger(__name__)

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]
Rendered = tuple[int, list[tuple[str, str]], bytes]
RenderError = Callable[[BaseException], Rendered]
Take = Callable[[], door.Finish] | None
Work = Callable[[Environ, Take], door.Answer | None]

_PREDICTIONS = "/v1/predictions"
_UUID = re.compile(r"/v1/predictions/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
_OF_MODEL = re.compile(r"/v1/models/([^/]+)/([^/]+)/predictions")
_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class Lane:
    """Answers these calls itself and passes everything else on to `application`."""

    def __init__(self, application: Application, *, render_error: RenderError) -> None:
        self._application = application
        self._render_error = render_error
        self._hosts: set[str] = set()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        work = self._work(environ)
        if work is None:
            return self._application(environ, start_response)
        request_id = bodies.request_id_of(environ) or uuid4().hex
        found = self._found(environ, work, request_id)
        if found is None:
            return later.LATER
        status, headers, body = self._answer(found, request_id)
        start_response(_LINES[status], headers)
        return [body]

    def _found(self, environ: Environ, work: Work, request_id: str) -> door.Answer | Exception | None:
        """The answer, or what to answer for; None where it is sent later, and the place is left only then."""
        # Inside Django's half of the threads: a database that is silent must leave the rest to the online lane.
        if not places.DJANGO.take():
            return errors.Unavailable("the server has all places for requests of this kind taken", retry_after=1)
        is_later = False
        try:
            with fresh_connection():
                found = work(environ, self._taking(environ, request_id))
            is_later = found is None
            return found
        except Exception as error:
            return error
        finally:
            if not is_later:
                places.DJANGO.leave()

    def _taking(self, environ: Environ, request_id: str) -> Take:
        """What takes the server's offer to answer later, where there is one; a span ends with its call."""
        offered = later.offer_of(environ)
        if offered is None or tracing.is_on():
            return None

        def take() -> door.Finish:
            send, within = offered(), copy_context()
            return lambda found: within.run(self._send, send, found, request_id)

        return take

    def _send(self, send: later.Send, found: door.Answer | Exception, request_id: str) -> None:
        try:
            send(*self._answer(found, request_id))
        finally:
            places.DJANGO.leave()

    def _answer(self, found: door.Answer | Exception, request_id: str) -> Rendered:
        if isinstance(found, door.Answer):
            headers = [*found.headers, ("Content-Length", str(len(found.body))), ("X-Request-ID", request_id)]
            return found.status, headers, found.body
        told = door.judged(found)
        if not isinstance(told, errors.DomainError):
            logger.error("a queued call failed by a fault of ours", exc_info=told, extra={"action": "queued_failed"})
        status, headers, body = self._render_error(told)
        return status, [*headers, ("X-Request-ID", request_id)], body

    def _work(self, environ: Environ) -> Work | None:
        """What answers this request; None when it is not the lane's."""
        path: str = environ["PATH_INFO"]
        if not path.startswith("/v1/"):
            return None
        found = _posted(path) if environ["REQUEST_METHOD"] == "POST" else _looked_at(environ, path)
        if found is None or not path.isascii():
            return None
        if "sessionid=" in environ.get("HTTP_COOKIE", "") or "text/html" in environ.get("HTTP_ACCEPT", ""):
            return None
        return found if self._is_allowed(environ.get("HTTP_HOST", "")) else None

    def _is_allowed(self, host: str) -> bool:
        if host in self._hosts:
            return True
        domain, _ = split_domain_port(host)
        allowed = bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)
        if allowed and len(self._hosts) < 1000:
            self._hosts.add(host)
        return allowed


def _posted(path: str) -> Work | None:
    if path == _PREDICTIONS:
        return _accept
    named = _OF_MODEL.fullmatch(path)
    return partial(_accept, model=f"{named[1]}/{named[2]}") if named else None


def _looked_at(environ: Environ, path: str) -> Work | None:
    found = _UUID.fullmatch(path) if environ["REQUEST_METHOD"] == "GET" else None
    return partial(_show, identifier=UUID(hex=found[1])) if found else None


def _accept(environ: Environ, take: Take, *, model: str | None = None) -> door.Answer | None:
    principal = _principal(environ, "predict")
    return door.accept(principal, environ, environ["wsgi.input"].read, model=model, take=take)


def _show(environ: Environ, take: Take, *, identifier: UUID) -> door.Answer:
    return door.show(_principal(environ, "read"), environ, identifier)


def _principal(environ: Environ, scope: str) -> snapshot.Principal:
    check_origin(environ)
    principal = snapshot.authenticate(environ.get("HTTP_AUTHORIZATION"))
    snapshot.allow(principal, scope)
    return principal
