"""The WSGI application: health and the lane in front of Django, and Django within its share of the threads."""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "serving_site.settings")

import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from http import HTTPStatus
from threading import get_ident
from typing import Any

from django.conf import settings
from django.core.wsgi import get_wsgi_application

django_application = get_wsgi_application()

from models_registry import errors  # noqa: E402 - models are importable only once Django is set up
from monitoring import tracing  # noqa: E402
from predictions import places  # noqa: E402
from predictions.online.lane import Lane, declared_length  # noqa: E402
from predictions.queued.lane import Lane as QueuedLane  # noqa: E402
from serving_site import api, draining, env, leaving, memory  # noqa: E402

Environ = dict[str, Any]
StartResponse = Callable[..., Any]

LIVE_PATHS = frozenset(["/health/live", "/v2/health/live"])
_LIVE = b'{"live":true}'
_LIVE_HEADERS = [("Content-Type", "application/json"), ("Content-Length", str(len(_LIVE)))]

_LEAVING = b'{"status":"leaving"}'
_LEAVING_HEADERS = [("Content-Type", "application/json"), ("Content-Length", str(len(_LEAVING)))]

#: Prometheus and probes find each process by its address, which is no name of the site; these answers name no host.
READY_PATH = "/health/ready"
ASKED_BY_ADDRESS = frozenset(["/metrics", READY_PATH])
_OWN_NAME = next((name for name in settings.ALLOWED_HOSTS if not name.startswith((".", "*", "["))), "")

#: Largest body of the paths that begin so; of any other path a form's worth.
_BODY_LIMITS = (
    ("/v2", settings.SERVING["ONLINE_BODY_LIMIT"]),
    ("/v1", settings.SERVING["QUEUED_BODY_LIMIT"]),
    # A little more than the artefact: the parts of a multipart body around it.
    ("/api", settings.SERVING["UPLOAD_LIMIT"] + 2**20),
    ("/admin", settings.SERVING["UPLOAD_LIMIT"] + 2**20),
)
_OTHER_LIMIT = 2**20


def render(error: BaseException, path: str = "/v2") -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers and body of an error that Django never sees."""
    found = api.as_domain_error(error) or api.Said("internal", "something here is broken; it was logged")
    return api.render_error(found, api.family_of(path) or api.PROBLEM)


def bounded_django(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Django, for bodies of a declared and allowed length, while it holds less than its share of the threads."""
    path = environ["PATH_INFO"]
    try:
        declared_length(environ, _limit_of(path))
        if not places.DJANGO.take():
            raise errors.Unavailable("the server has all places for requests of this kind taken", retry_after=1)
    except errors.DomainError as error:
        status, headers, body = render(error, path)
        start_response(f"{status} {HTTPStatus(status).phrase}", headers)
        return [body]
    return _within_place(environ, start_response)


def _within_place(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """The place is left when the answer is made, or, where it is made while it is sent, when it was sent."""
    is_streaming = False
    try:
        response = django_application(environ, start_response)
        is_streaming = bool(getattr(response, "streaming", False))
        return _Streamed(response) if is_streaming else response
    finally:
        if not is_streaming:
            places.DJANGO.leave()


class _Streamed:
    """A streaming answer that leaves its place once, however the server ends with it."""

    def __init__(self, response: Any) -> None:
        self._response = response
        self._left = threading.Lock()

    def __iter__(self) -> Iterator[bytes]:
        thread = get_ident()
        draining.enter(thread)
        try:
            yield from self._response
        finally:
            draining.leave(thread)
            self._leave()

    def close(self) -> None:
        self._leave()
        self._response.close()

    def __del__(self) -> None:
        self._leave()

    def _leave(self) -> None:
        if self._left.acquire(blocking=False):
            places.DJANGO.leave()


def _limit_of(path: str) -> int:
    return next((limit for prefix, limit in _BODY_LIMITS if path.startswith(prefix)), _OTHER_LIMIT)


#: Seconds a server process of the services mode may take for its first snapshot before it takes requests all the same.
WARM_S = 10.0

_queued_lane = QueuedLane(bounded_django, render_error=partial(render, path="/v1"))
_lane = Lane(_queued_lane, render_error=render)


def _is_traced(environ: Environ, path: str) -> bool:
    """Requests that bring ids, queued ones, which go on elsewhere, and all of them where spans are made."""
    return "HTTP_TRACEPARENT" in environ or "HTTP_X_REQUEST_ID" in environ or path.startswith("/v1/") or tracing.is_on()


def _known(environ: Environ, start_response: StartResponse) -> Iterable[bytes] | None:
    """The answer of a page that is asked often and by address, where nobody has to be asked for it."""
    if environ["PATH_INFO"] in LIVE_PATHS:
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return None
        start_response("200 OK", _LIVE_HEADERS)
        return [_LIVE if environ["REQUEST_METHOD"] == "GET" else b""]
    if environ["PATH_INFO"] == READY_PATH and leaving.is_leaving():
        start_response("503 Service Unavailable", _LEAVING_HEADERS)
        return [_LEAVING]
    if _OWN_NAME:
        environ["HTTP_HOST"] = _OWN_NAME
    return None


def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Every request of the site."""
    path = environ["PATH_INFO"]
    if path in LIVE_PATHS or path in ASKED_BY_ADDRESS:
        known = _known(environ, start_response)
        if known is not None:
            return known
    thread = get_ident()
    draining.enter(thread)
    body = environ["wsgi.input"] = draining.Body(environ["wsgi.input"])
    try:
        if not _is_traced(environ, path):
            return _lane(environ, start_response)
        with tracing.request(environ, start_response) as answer:
            return _lane(environ, answer)
    finally:
        draining.leave(thread)
        if body.octets > memory.LARGE or "HTTP_CONTENT_ENCODING" in environ:
            memory.large_request_ended()


if env.SERVING_ROLE == "web":
    from serving_site import embedded, processes

    if settings.EMBEDDED:
        embedded.start()
    else:
        processes.start(processes.web)
        processes.warm(WARM_S)
    memory.settle()
