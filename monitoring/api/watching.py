"""`/metrics` and `/health/*`: what orchestrators and Prometheus ask."""

from __future__ import annotations

import ipaddress
from typing import Any, Never

from django.conf import settings
from django.http import HttpResponse, JsonResponse
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from monitoring import exposition, health
from monitoring.api import shapes


class OneShape(DefaultContentNegotiation):
    """Answers in the one form there is, whatever the client says it accepts."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class MayReadMetrics(BasePermission):
    """Loopback and the configured networks, or a key with the scope `metrics`.

    A request that a proxy forwarded comes from wherever the proxy got it, so it needs the key.
    """

    message = "metrics are for the configured networks, or a key with the scope 'metrics'"

    def has_permission(self, request: Request, view: Any) -> bool:
        if "metrics" in getattr(request.auth, "scopes", ()):
            return True
        forwarded = any(name in request.META for name in ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP"))
        return not forwarded and is_near(request.META.get("REMOTE_ADDR", ""))


def is_near(address: str) -> bool:
    """True when the address lies in METRICS_NETWORKS; a v4 address written as v6 is taken as v4."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    found = getattr(found, "ipv4_mapped", None) or found
    networks = (ipaddress.ip_network(network, strict=False) for network in settings.SERVING["METRICS_NETWORKS"])
    return any(found in network for network in networks if network.version == found.version)


@extend_schema(tags=["watching"])
class Metrics(APIView):
    """Metrics of this process in Prometheus' text format."""

    permission_classes = [MayReadMetrics]
    content_negotiation_class = OneShape

    @extend_schema(operation_id="metrics", responses={(200, "text/plain"): OpenApiResponse(str)})
    def get(self, request: Request) -> HttpResponse:
        return HttpResponse(exposition.page(), content_type=exposition.CONTENT_TYPE)

    def permission_denied(self, request: Request, message: str | None = None, code: str | None = None) -> Never:
        # Without a key this would be 401; nobody is asked to log in here.
        request.authenticators = ()
        super().permission_denied(request, message, code)


class _Open(APIView):
    """Answers everybody and asks nobody who they are: health must not depend on keys."""

    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []
    content_negotiation_class = OneShape


@extend_schema(tags=["watching"])
class Live(_Open):
    """The process answers. No dependency is asked."""

    @extend_schema(operation_id="health_live", responses={200: OpenApiResponse(dict)})
    def get(self, request: Request) -> JsonResponse:
        return JsonResponse({"status": "ok"}, headers={"Cache-Control": "no-store"})


@extend_schema(tags=["watching"])
class Ready(_Open):
    """Every part by name. 503 before migrations and the first snapshot, and while stopping; later outages degrade."""

    @extend_schema(operation_id="health_ready", responses={200: shapes.HealthShape, 503: shapes.HealthShape})
    def get(self, request: Request) -> JsonResponse:
        report = health.report()
        return JsonResponse(report, status=200 if report["ready"] else 503, headers={"Cache-Control": "no-store"})
