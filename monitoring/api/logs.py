"""`/api/logs`: what the processes said. A key sees the lines of its project; people who may, those of everybody."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import Http404
from django.utils.module_loading import import_string
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from monitoring.api import log_queries
from monitoring.api.errors import InvalidParameters, StoreAway
from monitoring.logs.lines import LEVELS, LogLine
from monitoring.logs.stores import open_log_store
from monitoring.logs.stores.base import LogQuery
from monitoring.stores.base import StoreUnavailable

PERMISSION = "monitoring.view_logrow"


def shown(line: LogLine) -> dict[str, Any]:
    """The line's fields under their ECS names, and its id."""
    return {"id": str(line.id), **line.fields}


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A request was answered",
            value={
                "id": "0198f2a0-1b2c-7d3e-8f40-5a6b7c8d9e0f",
                "@timestamp": "2026-03-01T12:00:00.123456Z",
                "log.level": "info",
                "message": "POST /v1/predictions",
                "ecs.version": "8.11",
                "service.name": "web",
                "log.logger": "monitoring.access",
                "event.action": "answered",
                "http.response.status_code": 201,
                "http.request.id": "my-request-7",
                "trace.id": "4bf92f3577b34da6a3ce929d0e0e4736",
                "labels.project": "demo",
                "labels.prediction_id": "0198f2a0-1b2c-7d3e-8f40-5a6b7c8d9e0f",
            },
            response_only=True,
        )
    ]
)
class LogLineShape(serializers.Serializer[Any]):
    """One line in the words of the Elastic Common Schema; a field that a line does not have is left out."""

    id = serializers.UUIDField()
    message = serializers.CharField()

    def get_fields(self) -> dict[str, Any]:
        """The dotted names cannot be written as attributes."""
        dotted = {
            "@timestamp": serializers.DateTimeField(),
            "log.level": serializers.ChoiceField(list(LEVELS)),
            "service.name": serializers.CharField(required=False),
            "log.logger": serializers.CharField(required=False),
            "event.action": serializers.CharField(required=False),
            "http.request.id": serializers.CharField(required=False),
            "http.response.status_code": serializers.IntegerField(required=False),
            "trace.id": serializers.CharField(required=False),
            "labels.project": serializers.CharField(required=False),
            "labels.model": serializers.CharField(required=False),
            "labels.prediction_id": serializers.CharField(required=False),
            "error.type": serializers.CharField(required=False),
            "error.message": serializers.CharField(required=False),
            "error.stack_trace": serializers.CharField(required=False),
        }
        return {**super().get_fields(), **dotted}


class LogsPage(serializers.Serializer[Any]):
    """Newest first. A page may be short and still have a cursor: one search looks through a bounded number."""

    results = LogLineShape(many=True)
    cursor = serializers.CharField(allow_null=True)
    next = serializers.URLField(allow_null=True)


_PROJECT = OpenApiParameter("project", str, description="Lines of one project, for people; a key has its own.")
_FILTERS = [
    OpenApiParameter("q", str, description="Words that all stand in the message or the error, whatever their case."),
    OpenApiParameter("level", str, enum=list(LEVELS), description="The least level."),
    OpenApiParameter(
        "service", str, description="web, worker, keeper, beat, server, recorder, rabbitmq, redis, postgresql."
    ),
    OpenApiParameter("action", str, description="What happened, as a machine says it, like `leases_expired`."),
    OpenApiParameter("model", str, description="Name of the model."),
    OpenApiParameter("request_id", str, description="`X-Request-ID` of the request."),
    OpenApiParameter("prediction_id", str, description="Id of the prediction."),
    OpenApiParameter("trace_id", str, description="Trace id of W3C's trace context."),
    OpenApiParameter("since", OpenApiTypes.DATETIME, description="Logged at this time or later (ISO 8601)."),
    OpenApiParameter("until", OpenApiTypes.DATETIME, description="Logged before this time (ISO 8601)."),
    OpenApiParameter("limit", int, description="Lines per page, 1 to 200 (50)."),
    OpenApiParameter("cursor", str, description="Where the page before ended."),
]


class LogsView(APIView):
    """What both views ask first: whose lines."""

    scopes = {"GET": "manage"}

    def handle_exception(self, error: Exception) -> Any:
        return super().handle_exception(StoreAway() if isinstance(error, StoreUnavailable) else error)

    @property
    def reader(self) -> tuple[str | None, frozenset[str] | None]:
        """(project, models) that may be read; None is all."""
        user = getattr(self.request, "user", None)
        if getattr(user, "is_staff", False):
            if not user.has_perm(PERMISSION):  # type: ignore[union-attr]
                raise PermissionDenied("this needs the permission to view log lines")
            return self.request.query_params.get("project") or None, None
        principal = import_string(settings.PRINCIPAL_OF)(self.request)
        return principal.project, principal.models


@extend_schema(tags=["logs"])
class Logs(LogsView):
    """Search what the processes and the servers beside them logged, newest first."""

    @extend_schema(operation_id="search_logs", parameters=[*_FILTERS, _PROJECT], responses=LogsPage)
    def get(self, request: Request) -> Response:
        try:
            page = open_log_store().search(self._query())
        except ValueError as error:
            raise InvalidParameters({"cursor": [str(error)]}) from error
        results = [shown(line) for line in page.lines]
        return Response({"results": results, "cursor": page.cursor, "next": self._next(page.cursor)})

    def _query(self) -> LogQuery:
        project, models = self.reader
        query = log_queries.read(self.request.query_params, project=project, others=("project", "format"))
        if models is not None and query.model not in models:
            allowed = ", ".join(sorted(models)) or "none"
            raise InvalidParameters({"model": [f"this key may read one of its own models at a time: {allowed}"]})
        return query

    def _next(self, cursor: str | None) -> str | None:
        if cursor is None:
            return None
        parameters = self.request.query_params.copy()
        parameters["cursor"] = cursor
        return self.request.build_absolute_uri(f"{self.request.path}?{parameters.urlencode()}")


@extend_schema(tags=["logs"])
class OneLine(LogsView):
    """One line of the log by its id."""

    @extend_schema(operation_id="show_log_line", parameters=[_PROJECT], responses=LogLineShape)
    def get(self, request: Request, identifier: UUID) -> Response:
        project, models = self.reader
        line = open_log_store().get(identifier)
        if line is None or (project is not None and line.text("labels.project") != project):
            raise Http404
        if models is not None and line.text("labels.model") not in models:
            raise Http404
        return Response(shown(line))
