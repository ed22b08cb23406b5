"""The one place where an error becomes a status and a body, in the shape of the protocol that was spoken.

Families: "oip" (`/v2`: `{"error": str}`) and "problem" (everything else for machines: RFC 9457). Pages for
people are HTML.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.template import TemplateDoesNotExist
from django.template.loader import render_to_string
from django.utils.html import escape
from rest_framework import exceptions as drf
from rest_framework.views import set_rollback

from models_registry import errors

logger = logging.getLogger(__name__)

OIP = "oip"
PROBLEM = "problem"

#: Longest pause a client is told; some clients sleep what they are told without a cap of their own.
MOST_RETRY_AFTER_S = 300

#: Status of each domain error: on `/v2`, and everywhere else.
STATUSES: dict[str, tuple[int, int]] = {
    "invalid": (400, 400),
    "malformed": (400, 400),
    "incomplete": (400, 400),
    "invalid_parameter": (400, 400),
    "invalid_input": (400, 422),
    "not_found": (404, 404),
    "conflict": (409, 409),
    "forbidden": (403, 403),
    "not_authenticated": (401, 401),
    "too_large": (413, 413),
    "format_not_allowed": (415, 422),
    "quota_exceeded": (429, 429),
    "unavailable": (503, 503),
    "model_unavailable": (503, 503),
    "outcome_unknown": (503, 503),
    "timeout": (504, 503),
    "model_error": (400, 422),
    "unusable_output": (400, 422),
    "crashed": (503, 503),
    "resource_exhausted": (503, 503),
    "unsupported_media_type": (415, 415),
    "length_required": (411, 411),
    "method_not_allowed": (405, 405),
    "not_acceptable": (406, 406),
    "not_implemented": (501, 501),
    "internal": (500, 500),
}

_SAID: dict[type[Exception], tuple[str, str]] = {
    Http404: ("not_found", "there is nothing at this address"),
    drf.NotFound: ("not_found", "there is nothing at this address"),
    PermissionDenied: ("forbidden", "this is not allowed"),
    RequestDataTooBig: ("too_large", "the request's body is beyond the limit"),
    RecursionError: ("malformed", "the body is nested too deeply"),
    drf.ParseError: ("malformed", ""),
    drf.NotAuthenticated: ("not_authenticated", "send a key: Authorization: Bearer <key>"),
    drf.AuthenticationFailed: ("not_authenticated", ""),
    drf.PermissionDenied: ("forbidden", ""),
    drf.MethodNotAllowed: ("method_not_allowed", ""),
    drf.NotAcceptable: ("not_acceptable", ""),
    drf.UnsupportedMediaType: ("unsupported_media_type", ""),
    drf.Throttled: ("quota_exceeded", "too many requests"),
}


class Said(errors.DomainError):
    """An error of the frameworks, as a domain error of the given code. `pointers` name several faults at once."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retry_after: int | None = None,
        pointers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message, retry_after=retry_after)
        self.code = code
        self.pointers = pointers


def render_error(error: errors.DomainError, family: str) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers and body of a domain error in the family's shape."""
    code = error.code if error.code in STATUSES else "internal"
    status = STATUSES[code][0 if family == OIP else 1]
    headers = [("Content-Type", "application/json" if family == OIP else "application/problem+json")]
    retry_after = error.retry_after
    if retry_after is None and status in (429, 503):
        retry_after = 1
    if retry_after is not None:
        headers.append(("Retry-After", str(max(1, min(MOST_RETRY_AFTER_S, math.ceil(retry_after))))))
    if error.prediction_id is not None:
        headers.append(("x-prediction-id", str(error.prediction_id)))
    if status == HTTPStatus.UNAUTHORIZED:
        headers.append(("WWW-Authenticate", 'Bearer realm="serving"'))
    content = {"error": _sentence(error)} if family == OIP else _problem(error, code, status)
    body = json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")
    headers.append(("Content-Length", str(len(body))))
    return status, headers, body


def _sentence(error: errors.DomainError) -> str:
    """The message with what it is about: the OIP has one string for all of it."""
    place = [f"row {error.row}"] if error.row is not None and f"row {error.row}" not in error.message else []
    if error.field and error.field not in error.message:
        place.append(str(error.field))
    return f"{', '.join(place)}: {error.message}" if place else error.message


def _problem(error: errors.DomainError, code: str, status: int) -> dict[str, Any]:
    problem: dict[str, Any] = {
        "type": f"urn:serving:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": error.message,
        "code": code,
    }
    faults = list(getattr(error, "pointers", ()))
    if not faults and (error.field is not None or error.row is not None):
        faults = [(_pointer(error), error.message)]
    if faults:
        problem["errors"] = [{"pointer": pointer, "code": code, "detail": detail} for pointer, detail in faults]
    return problem


def _pointer(error: errors.DomainError) -> str:
    """A JSON pointer (RFC 6901) to the offending part; rows are those of the prediction's instances."""
    parts = [] if error.row is None else ["input", "instances", str(error.row)]
    parts += [] if error.field is None else [str(error.field)]
    if parts and parts[0].startswith("/"):
        return parts[0]
    return "/" + "/".join(part.replace("~", "~0").replace("/", "~1") for part in parts)


def as_domain_error(error: BaseException) -> errors.DomainError | None:
    """The domain error that says what a framework's exception means; None for a fault of our own."""
    if isinstance(error, errors.DomainError):
        return error
    if isinstance(error, drf.ValidationError):
        faults = tuple(_faults(error.detail))
        message = "; ".join(f"{pointer}: {text}" if pointer != "/" else text for pointer, text in faults[:3])
        return Said(getattr(error, "problem_code", "invalid_input"), message, pointers=faults)
    for kind in type(error).__mro__:
        if kind in _SAID:
            code, message = _SAID[kind]
            wait = getattr(error, "wait", None)
            return Said(code, message or str(error), retry_after=math.ceil(wait) if wait else None)
    if isinstance(error, SuspiciousOperation):
        return Said("malformed", "the request is not well-formed: " + str(error)[:200])
    if isinstance(error, drf.APIException):
        codes = {status[1]: code for code, status in STATUSES.items()}
        code = getattr(error, "problem_code", codes.get(error.status_code, "invalid"))
        return Said(code, str(error.detail), retry_after=getattr(error, "wait", None))
    return None


def _faults(detail: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Flatten DRF's nested details into (JSON pointer, sentence); `many=True` nests by index."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from _faults(inner, path if name == "non_field_errors" else f"{path}/{name}")
    elif isinstance(detail, list | tuple):
        for position, inner in enumerate(detail):
            yield from _faults(inner, path if not isinstance(inner, dict | list) else f"{path}/{position}")
    else:
        yield path or "/", str(detail)


def family_of(path: str) -> str | None:
    """The shape in which this path answers, None for pages that people read."""
    if path == "/v2" or path.startswith("/v2/"):
        return OIP
    for prefix in ("/v1", "/api", "/metrics", "/health"):
        if path == prefix or path.startswith(prefix + "/"):
            return PROBLEM
    return None


def respond(error: errors.DomainError, family: str) -> HttpResponse:
    """A Django response for a domain error."""
    status, headers, body = render_error(error, family)
    response = HttpResponse(body, status=status)
    for name, value in headers:
        response[name] = value
    return response


def exception_handler(error: Exception, context: dict[str, Any]) -> HttpResponse | None:
    """DRF's EXCEPTION_HANDLER: every error of a view, in the shape of its path."""
    request = context["request"]
    found = as_domain_error(error)
    if found is None:
        return None
    set_rollback()
    response = respond(found, family_of(request.path_info) or PROBLEM)
    if isinstance(error, drf.MethodNotAllowed):
        response["Allow"] = ", ".join(context["view"].allowed_methods)
    return response


def _answer(request: HttpRequest, error: errors.DomainError) -> HttpResponse:
    family = family_of(request.path_info)
    if family is None and "text/html" not in request.headers.get("accept", "text/html"):
        family = PROBLEM
    return respond(error, family) if family else _page(request, error)


def _page(request: HttpRequest, error: errors.DomainError) -> HttpResponse:
    """What a person sees; the template is the site's, and a plain page stands in where it cannot be rendered."""
    status = STATUSES[error.code][1]
    facts = {"status": status, "title": HTTPStatus(status).phrase, "message": error.message, "path": request.path_info}
    try:
        content: str = render_to_string("error.html", facts)
    except TemplateDoesNotExist:
        title, message = escape(facts["title"]), escape(error.message)
        content = (
            f'<!doctype html><html lang="en"><title>{title}</title><h1>{title}</h1><p>{message}</p>'
            '<p>Pages: <a href="/admin/">admin</a>, <a href="/api/docs">API documentation</a>.</p></html>'
        )
    return HttpResponse(content, status=status)


def handler400(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, as_domain_error(exception) or Said("malformed", "the request is not well-formed"))


def handler403(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, as_domain_error(exception) or Said("forbidden", "this is not allowed"))


def handler404(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, Said("not_found", f"there is nothing at {request.path_info[:200]}"))


def handler500(request: HttpRequest) -> HttpResponse:
    return _answer(request, Said("internal", "something here is broken; it was logged"))
