"""`/api/records`: what was predicted, searched and counted. A key sees its project, and only the models on its list."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import Http404, QueryDict
from django.utils.module_loading import import_string
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from monitoring import documents, stores
from monitoring.api import queries, shapes
from monitoring.api.errors import InvalidParameters, StoreAway
from monitoring.stores.base import Query, StoreUnavailable

#: Counting looks at every record of its range, so the range is bounded.
MOST_COUNTED = timedelta(days=31)
_COUNTED_BY_DEFAULT = timedelta(days=1)


class RecordsView(APIView):
    """What every view of records asks first: whose records, and of which models."""

    scopes = {"GET": "read"}
    #: What a signed-in person needs in the place of a key's scope.
    permission = "monitoring.view_recordrow"

    def check_permissions(self, request: Request) -> None:
        super().check_permissions(request)
        person: Any = request.user
        if getattr(person, "is_staff", False) and not person.has_perm(self.permission):
            raise PermissionDenied(f"this account lacks the permission {self.permission}")

    def handle_exception(self, error: Exception) -> Any:
        return super().handle_exception(StoreAway() if isinstance(error, StoreUnavailable) else error)

    @property
    def principal(self) -> Any:
        """Who asks, with `project` and `models`: plain values from a room that this one does not know."""
        return import_string(settings.PRINCIPAL_OF)(self.request)

    def query(self, *others: str) -> Query:
        return self._allowed(
            queries.read(
                self.request.query_params, project=self.principal.project, others=("project", "format", *others)
            )
        )

    def _allowed(self, query: Query) -> Query:
        principal = self.principal
        if principal.models is not None and query.model not in principal.models:
            allowed = ", ".join(sorted(principal.models)) or "none"
            raise InvalidParameters({"model": [f"this key may read one of its own models at a time: {allowed}"]})
        return query

    def check_conditions(self, conditions: str) -> None:
        """Conditions in a body are held to the same rules; what is wrong with them is named."""
        try:
            self._allowed(queries.read(QueryDict(conditions), project=self.principal.project))
        except InvalidParameters as error:
            detail: Any = error.detail
            faults = [f"{name}: {text}" for name, texts in detail.items() for text in texts]
            raise InvalidParameters({"conditions": faults}) from error

    def body(self, shape: type[serializers.Serializer[Any]]) -> dict[str, Any]:
        """The checked body of this request."""
        serializer = shape(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)


@extend_schema(tags=["records"])
class Records(RecordsView):
    """Search the records of finished predictions, newest first; they can be found within two seconds."""

    @extend_schema(
        operation_id="search_records",
        parameters=[
            *shapes.FILTERS,
            shapes.PROJECT,
            OpenApiParameter("limit", int, description="Records per page, 1 to 200 (50)."),
            OpenApiParameter("cursor", str, description="Where the page before ended."),
        ],
        responses=shapes.RecordsPage,
    )
    def get(self, request: Request) -> Response:
        query = self.query()
        try:
            page = stores.open_store().search(query)
        except ValueError as error:
            raise InvalidParameters({"cursor": [str(error)]}) from error
        results = [documents.to_document(record) for record in page.records]
        return Response({"results": results, "cursor": page.cursor, "next": self._next(page.cursor)})

    def _next(self, cursor: str | None) -> str | None:
        if cursor is None:
            return None
        parameters = self.request.query_params.copy()
        parameters["cursor"] = cursor
        return self.request.build_absolute_uri(f"{self.request.path}?{parameters.urlencode()}")


@extend_schema(tags=["records"])
class OneRecord(RecordsView):
    """The record of one prediction, by the id its answer carried (`x-prediction-id`)."""

    @extend_schema(operation_id="show_record", parameters=[shapes.PROJECT], responses=shapes.RecordShape)
    def get(self, request: Request, identifier: UUID) -> Response:
        principal = self.principal
        record = stores.open_store().get(principal.project, identifier)
        if record is None or (principal.models is not None and record.model not in principal.models):
            raise Http404
        return Response(documents.to_document(record))


@extend_schema(tags=["records"])
class Counts(RecordsView):
    """How many predictions ended, per model, version and status over time; the last day when no time is given."""

    @extend_schema(
        operation_id="count_records",
        parameters=[
            *shapes.FILTERS,
            shapes.PROJECT,
            OpenApiParameter("seconds", int, description="Length of one stretch of time, 1 to 86400 (3600)."),
        ],
        responses=shapes.CountsPage,
    )
    def get(self, request: Request) -> Response:
        query = self.query("seconds")
        since, until = self._range(query)
        seconds = self._seconds(until - since)
        query = replace(query, since=since, until=until)
        counted = [
            {
                "start": item.start.isoformat(),
                "model": item.model,
                "version": item.version,
                "status": item.status,
                "count": item.count,
                **item.facts,
            }
            for item in stores.open_store().counts(query, seconds=seconds)
        ]
        return Response({"seconds": seconds, "since": since, "until": until, "results": counted})

    def _range(self, query: Query) -> tuple[datetime, datetime]:
        until = query.until or datetime.now(UTC)
        since = query.since or until - _COUNTED_BY_DEFAULT
        if not since < until:
            raise InvalidParameters({"since": ["must lie before until"]})
        if until - since > MOST_COUNTED:
            raise InvalidParameters({"since": [f"must lie at most {MOST_COUNTED.days} days before until"]})
        return since, until

    def _seconds(self, length: timedelta) -> int:
        try:
            seconds = queries.integer(self.request.query_params.get("seconds", "3600"), least=1, most=86_400)
        except ValueError as error:
            raise InvalidParameters({"seconds": [str(error)]}) from error
        if length.total_seconds() / seconds > queries.MOST_STRETCHES:
            raise InvalidParameters({"seconds": [f"the range has more than {queries.MOST_STRETCHES} stretches"]})
        return seconds
