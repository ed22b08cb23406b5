"""`/api/records/export.*` streams a file at once; `/api/records/exports` has it written by a worker."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.http import FileResponse, Http404, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import APIException
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from monitoring import exports, formats, stores, tasks
from monitoring.api import asked_shapes, shapes
from monitoring.api.errors import Conflict, StoreAway
from monitoring.api.records import RecordsView
from monitoring.asked import Export
from monitoring.stores.base import Query

#: Files this process streams at once: each holds one of its threads.
MOST_STREAMS = 2
_streams = threading.BoundedSemaphore(MOST_STREAMS)


class TooManyStreams(APIException):
    status_code = 503
    default_detail = f"this server streams {MOST_STREAMS} exports already; ask for a job (/api/records/exports)"
    problem_code = "unavailable"
    wait = 5


class AnyFormat(BaseContentNegotiation):
    """The path says the format, not the client's headers."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


@extend_schema(tags=["records"])
class Stream(RecordsView):
    """All records that meet the conditions as one file, oldest first, streamed while it is made.

    Should the record store fail midway, the connection is closed before the file's end.
    """

    content_negotiation_class = AnyFormat

    @extend_schema(
        operation_id="export_records",
        parameters=[*shapes.FILTERS, shapes.PROJECT],
        responses={(200, media_type): OpenApiTypes.BINARY for media_type in formats.MEDIA_TYPES.values()},
    )
    def get(self, request: Request, form: str) -> StreamingHttpResponse:
        query = self.query()
        if not _streams.acquire(blocking=False):
            raise TooManyStreams
        response = StreamingHttpResponse(_Pieces(query, form), content_type=formats.MEDIA_TYPES[form])
        response["Content-Disposition"] = f'attachment; filename="records.{form}"'
        response["Cache-Control"] = "no-store"
        return response


class _Pieces:
    """The file's pieces; gives its place back when it is closed, whether it was begun or not."""

    def __init__(self, query: Query, form: str) -> None:
        self._made = formats.pieces(stores.open_store().stream(query), form)
        self._is_open = True

    def __iter__(self) -> Iterator[bytes]:
        return self._made

    def close(self) -> None:
        self._made.close()  # type: ignore[attr-defined]
        if self._is_open:
            self._is_open = False
            _streams.release()


class ExportsView(RecordsView):
    def own(self) -> Any:
        """Exports this principal may see: the project's; of a key for some models only what it asked for itself."""
        mine = Export.objects.filter(project=self.principal.project)
        return mine if self.principal.models is None else mine.filter(who=self.principal.key)

    def one(self, identifier: UUID) -> Export:
        found: Export | None = self.own().filter(pk=identifier).first()
        if found is None:
            raise Http404
        return found

    def shown(self, export: Export) -> dict[str, Any]:
        is_ready = export.state == Export.State.READY
        file = reverse("record-export-file", kwargs={"identifier": export.pk}, request=self.request)
        return asked_shapes.ExportShape(export).data | {"file": file if is_ready else None}


@extend_schema(tags=["records"])
class Exports(ExportsView):
    """Exports written by a worker; each is kept for a day."""

    scopes = {"GET": "read", "POST": "read"}

    @extend_schema(operation_id="list_exports", parameters=[shapes.PROJECT], responses=asked_shapes.ExportsPage)
    def get(self, request: Request) -> Response:
        return Response({"results": [self.shown(export) for export in self.own()]})

    @extend_schema(
        operation_id="start_export",
        parameters=[shapes.PROJECT],
        request=asked_shapes.ExportBody,
        responses={202: asked_shapes.ExportShape},
    )
    def post(self, request: Request) -> Response:
        body = self.body(asked_shapes.ExportBody)
        self.check_conditions(body["conditions"])
        principal = self.principal
        try:
            export = exports.ask(
                principal.project, who=principal.key, form=body["format"], conditions=body["conditions"]
            )
        except exports.TooManyExports as error:
            raise Conflict(str(error)) from error
        try:
            tasks.write_export.delay(str(export.pk))
        except Exception as error:
            exports.remove(export)
            raise StoreAway("no worker could be told of the export; ask again later") from error
        where = reverse("record-export", kwargs={"identifier": export.pk}, request=request)
        return Response(self.shown(export), status=202, headers={"Location": where})


@extend_schema(tags=["records"])
class OneExport(ExportsView):
    """How far an export is, and where its file is."""

    scopes = {"GET": "read", "DELETE": "read"}

    @extend_schema(operation_id="show_export", parameters=[shapes.PROJECT], responses=asked_shapes.ExportShape)
    def get(self, request: Request, identifier: UUID) -> Response:
        return Response(self.shown(self.one(identifier)))

    @extend_schema(operation_id="remove_export", parameters=[shapes.PROJECT], responses={204: None})
    def delete(self, request: Request, identifier: UUID) -> Response:
        exports.remove(self.one(identifier))
        return Response(status=204)


@extend_schema(tags=["records"])
class ExportFile(ExportsView):
    """The file of an export that is ready."""

    content_negotiation_class = AnyFormat

    @extend_schema(
        operation_id="download_export",
        parameters=[shapes.PROJECT],
        responses={(200, media_type): OpenApiTypes.BINARY for media_type in formats.MEDIA_TYPES.values()},
    )
    def get(self, request: Request, identifier: UUID) -> FileResponse:
        export = self.one(identifier)
        try:
            file = exports.path_of(export).open("rb") if export.state == Export.State.READY else None
        except FileNotFoundError as error:
            raise Http404 from error
        if file is None:
            raise Conflict(f"the export is {export.state}, not ready")
        response = FileResponse(
            file,
            as_attachment=True,
            filename=f"records.{export.format}",
            content_type=formats.MEDIA_TYPES[export.format],
        )
        response["Cache-Control"] = "no-store"
        return response
