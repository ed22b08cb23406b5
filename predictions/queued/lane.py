"""The queued lane: a WSGI callable in front of Django for POST of predictions and GET of one.

Like the online lane it hands to Django whatever carries a session cookie, asks for `text/html`, or names a host or a
path that it would have to refuse. What Django and DRF add to a request costs ten times what accepting it does.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from functools import partial
from http import HTTPStatus
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from models_registry import errors, snapshot
from models_registry.api.authentication import check_origin
from monitoring.background import fresh_connection
from predictions import places
from predictions.queued import bodies, door

logger = logging.getLogger(__name__)

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]
RenderError = Callable[[BaseException], tuple[int, list[tuple[str, str]], bytes]]
Work = Callable[[Environ], door.Answer]

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
        status, headers, body = self._answer(environ, work)
        headers.append(("X-Request-ID", bodies.request_id_of(environ) or uuid4().hex))
        start_response(_LINES[status], headers)
        return [body]

    def _answer(self, environ: Environ, work: Work) -> tuple[int, list[tuple[str, str]], bytes]:
        # Inside Django's half of the threads: a database that is silent must leave the rest to the online lane.
        if not places.DJANGO.take():
            full = errors.Unavailable("the server has all places for requests of this kind taken", retry_after=1)
            return self._render_error(full)
        try:
            with fresh_connection():
                answer = work(environ)
            return answer.status, [*answer.headers, ("Content-Length", str(len(answer.body)))], answer.body
        except Exception as error:
            told = door.judged(error)
            if not isinstance(told, errors.DomainError):
                logger.exception("a queued call failed by a fault of ours", extra={"action": "queued_failed"})
            return self._render_error(told)
        finally:
            places.DJANGO.leave()

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


def _accept(environ: Environ, *, model: str | None = None) -> door.Answer:
    principal = _principal(environ, "predict")
    return door.accept(principal, environ, environ["wsgi.input"].read, model=model)


def _show(environ: Environ, *, identifier: UUID) -> door.Answer:
    return door.show(_principal(environ, "read"), environ, identifier)


def _principal(environ: Environ, scope: str) -> snapshot.Principal:
    check_origin(environ)
    principal = snapshot.authenticate(environ.get("HTTP_AUTHORIZATION"))
    snapshot.allow(principal, scope)
    return principal
