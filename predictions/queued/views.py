"""The queued door: predictions and models in Replicate's shape under `/v1`."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import orjson
from django.http import HttpResponse
from rest_framework import exceptions as drf
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.views import APIView

from models_registry import errors, snapshot
from models_registry.models import RegisteredModel
from monitoring import metrics
from predictions.protocols import replicate, replicate_models
from predictions.queued import aftermath, bodies, door, ledger, listing, reading, results

#: What DRF's own refusals are counted as; the lane raises these as domain errors.
_REFUSED: dict[type[Exception], str] = {
    drf.NotAuthenticated: errors.NotAuthenticated.code,
    drf.AuthenticationFailed: errors.NotAuthenticated.code,
    drf.PermissionDenied: errors.Forbidden.code,
}


class AnyAnswer(BaseContentNegotiation):
    """The first parser and renderer, whatever the client says: clients here send no or any type."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class QueuedView(APIView):
    """What all of `/v1` has in common: JSON whatever a client says it accepts, bodies read raw."""

    content_negotiation_class = AnyAnswer

    def handle_exception(self, exc: Exception) -> Any:
        if type(exc) in _REFUSED:
            metrics.count(metrics.REFUSALS, ("replicate", _REFUSED[type(exc)]))
        return super().handle_exception(door.judged(exc))

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        identifier = bodies.request_id_of(request.META)
        if identifier:
            response["X-Request-ID"] = identifier
        return response


class PredictionsView(QueuedView):
    """Accept a prediction; list those of the project."""

    scopes = {"GET": "read", "POST": "predict"}

    def get(self, request: Request) -> HttpResponse:
        principal = snapshot.principal_of(request)
        page = reading.page(listing.filter_of(principal, request.query_params))
        sights = [results.sight_of(row) for row in page.rows]
        body = replicate.show_page(
            sights, base=bodies.base_of(request.META), following=_cursor(request, "o", page.older),
            previous=_cursor(request, "n", page.newer),
        )  # fmt: skip
        return _json(body)

    def post(self, request: Request) -> HttpResponse:
        return _answered(door.accept(snapshot.principal_of(request), request.META, _read(request)))


class ModelPredictionsView(QueuedView):
    """Accept a prediction of the model that the path names."""

    scopes = {"POST": "predict"}

    def post(self, request: Request, owner: str, name: str) -> HttpResponse:
        principal = snapshot.principal_of(request)
        return _answered(door.accept(principal, request.META, _read(request), model=f"{owner}/{name}"))


class PredictionView(QueuedView):
    """One prediction of the project."""

    scopes = {"GET": "read"}

    def get(self, request: Request, identifier: UUID) -> HttpResponse:
        return _answered(door.show(snapshot.principal_of(request), request.META, identifier))


class CancelView(QueuedView):
    """End a prediction that has not ended; one that has is shown as it is."""

    scopes = {"POST": "predict"}

    def post(self, request: Request, identifier: UUID) -> HttpResponse:
        principal = snapshot.principal_of(request)
        sight = door.find(principal, identifier)
        if not sight.ended and ledger.cancel(principal.project_id, identifier):
            aftermath.tell([identifier])
        return _json(replicate.show(door.find(principal, identifier), base=bodies.base_of(request.META)))


class ModelView(QueuedView):
    """One model of the project."""

    scopes = {"GET": "read"}

    def get(self, request: Request, owner: str, name: str) -> HttpResponse:
        principal = snapshot.principal_of(request)
        entry = snapshot.entry(principal, f"{owner}/{name}")
        row = RegisteredModel.objects.filter(project_id=principal.project_id, name=name).first()
        description = row.description if row is not None else ""
        return _json(
            orjson.dumps(replicate_models.show_model(entry, base=bodies.base_of(request.META), description=description))
        )


class VersionsView(QueuedView):
    """The ready versions of a model, newest first."""

    scopes = {"GET": "read"}

    def get(self, request: Request, owner: str, name: str) -> HttpResponse:
        entry = snapshot.entry(snapshot.principal_of(request), f"{owner}/{name}")
        shown = [replicate_models.show_version(entry.versions[number]) for number in sorted(entry.versions)[::-1]]
        return _json(orjson.dumps({"previous": None, "next": None, "results": shown}))


class VersionView(QueuedView):
    """One ready version of a model, by its id."""

    scopes = {"GET": "read"}

    def get(self, request: Request, owner: str, name: str, identifier: UUID) -> HttpResponse:
        entry = snapshot.entry(snapshot.principal_of(request), f"{owner}/{name}")
        for version in entry.versions.values():
            if version.id == identifier:
                return _json(orjson.dumps(replicate_models.show_version(version)))
        raise errors.NotFound(f"Model {name} with version {identifier} not found")


def _cursor(request: Request, direction: str, identifier: UUID | None) -> str | None:
    if identifier is None:
        return None
    asked = {name: value for name, value in request.query_params.items() if name != "cursor"}
    return f"{bodies.base_of(request.META)}/v1/predictions?" + urlencode(
        {**asked, "cursor": direction + identifier.hex}
    )


def _read(request: Request) -> door.Read:
    """Django has its own bound on reading; what it hands over is the whole body."""
    return lambda length: bytes(request._request.body)


def _answered(answer: door.Answer) -> HttpResponse:
    response = HttpResponse(answer.body, status=answer.status)
    for name, value in answer.headers:
        response[name] = value
    return response


def _json(body: bytes, *, status: int = 200) -> HttpResponse:
    return HttpResponse(body, status=status, content_type="application/json")
