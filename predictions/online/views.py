"""The Open Inference Protocol as DRF views: documented, browsable, and the second door to `inference.infer`."""

from __future__ import annotations

from typing import Any, ClassVar

import orjson
from django.conf import settings
from django.http import HttpResponse
from django.http.request import RawPostDataException
from drf_spectacular.utils import extend_schema
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from models_registry import errors, snapshot
from models_registry.routing import Route
from monitoring import health
from predictions.online import inference, lane, names
from predictions.protocols import oip, oip_metadata


class _Negotiation(BaseContentNegotiation):
    """JSON for every client, whatever it accepts; the browsable page for people who are logged in."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return next(iter(parsers))

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        accepts = request.META.get("HTTP_ACCEPT", "")
        wanted = "api" if "text/html" in accepts else "json"
        chosen = next((renderer for renderer in renderers if renderer.format == wanted), renderers[0])
        return chosen, chosen.media_type


class OipView(APIView):
    content_negotiation_class = _Negotiation
    scopes: ClassVar[dict[str, str | None]] = {"GET": "read"}


class Health(OipView):
    """Whether the process lives, and whether it may take traffic; neither needs a key."""

    authentication_classes = []
    scopes: ClassVar[dict[str, str | None]] = {"GET": None}


class Live(Health):
    @extend_schema(responses={200: dict[str, bool]}, tags=["v2"])
    def get(self, request: Request) -> Response:
        """The process answers."""
        return Response({"live": True})


class Ready(Health):
    @extend_schema(responses={200: dict[str, bool]}, tags=["v2"])
    def get(self, request: Request) -> Response:
        """The process may take traffic: the registry was read and what should answer is loaded."""
        is_ready = bool(health.report()["ready"])
        return Response({"ready": is_ready, "live": True}, status=200 if is_ready else 503)


class Server(OipView):
    scopes: ClassVar[dict[str, str | None]] = {"GET": None}

    @extend_schema(responses={200: dict[str, Any]}, tags=["v2"])
    def get(self, request: Request) -> Response:
        """Name, version and extensions of this server."""
        return Response(oip_metadata.server(str(settings.SPECTACULAR_SETTINGS["VERSION"])))


class Models(OipView):
    @extend_schema(responses={200: dict[str, list[str]]}, tags=["v2"])
    def get(self, request: Request) -> Response:
        """Names of the models that the key may use."""
        principal = snapshot.principal_of(request)
        found = (name for project, name in snapshot.current().entries if project == principal.project)
        return Response({"models": sorted(n for n in found if principal.models is None or n in principal.models)})


class Model(OipView):
    @extend_schema(responses={200: dict[str, Any]}, tags=["v2"])
    def get(self, request: Request, rest: str) -> Response:
        """What a model, or one version of it, takes and gives."""
        place = place_of(rest)
        principal = snapshot.principal_of(request)
        route = snapshot.find(principal, place.name, place.wanted)
        return Response(oip_metadata.model(snapshot.entry(principal, place.name), route.version))


class ModelReady(OipView):
    @extend_schema(responses={200: dict[str, Any]}, tags=["v2"])
    def get(self, request: Request, rest: str) -> Response:
        """Whether a model, or one version of it, is loaded here; a version that can be is loaded now."""
        place = place_of(rest)
        route: Route = snapshot.find(snapshot.principal_of(request), place.name, place.wanted)
        snapshot.predictor(route.version)
        return Response({"name": route.version.model, "ready": True})


class Infer(OipView):
    scopes: ClassVar[dict[str, str | None]] = {"POST": "predict"}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        # The size first, as in the lane: what is too large is refused unread, whoever sent it.
        self._length = lane.declared_length(request.META, settings.SERVING["ONLINE_BODY_LIMIT"])
        super().initial(request, *args, **kwargs)

    @extend_schema(request=dict[str, Any], responses={200: dict[str, Any]}, tags=["v2"])
    def post(self, request: Request, rest: str) -> HttpResponse | Response:
        """Predict now. Body and answer are the Open Inference Protocol's, JSON or binary."""
        place = place_of(rest)
        asked = inference.Asked(
            name=place.name,
            wanted=place.wanted,
            read=lambda: lane.whole(_body(request), self._length),
            header_length=request.META.get("HTTP_INFERENCE_HEADER_CONTENT_LENGTH"),
            coding=request.META.get("HTTP_CONTENT_ENCODING", ""),
            accepts=request.META.get("HTTP_ACCEPT_ENCODING", ""),
            cache_control=request.META.get("HTTP_CACHE_CONTROL", ""),
            subject=request.META.get("HTTP_X_SUBJECT_ID", ""),
        )
        answer = inference.infer(snapshot.principal_of(request), asked)
        headers = dict(answer.headers)
        is_page = request.accepted_renderer.format == "api" and "Content-Encoding" not in headers
        if is_page and answer.headers[0] == oip.JSON_HEADERS[0]:
            shown: dict[str, str] = {
                name: headers[name] for name in ("x-prediction-id", "Cache-Status") if name in headers
            }
            return Response(orjson.loads(answer.body), headers=shown)
        response = HttpResponse(answer.body)
        for name, value in answer.headers:
            response[name] = value
        return response


def _body(request: Request) -> bytes:
    try:
        return bytes(request._request.body)
    except RawPostDataException as error:
        raise errors.EncodingNotSupported("send the request as JSON or binary tensors, not as a form") from error


def place_of(rest: str) -> names.Place:
    place = names.split(rest)
    if place is None:
        raise errors.NotFound(f"Model {rest[:100]} not found")
    return place
