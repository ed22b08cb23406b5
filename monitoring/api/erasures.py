"""`/api/erasures`: erase what is kept of a subject, and the receipts of what was erased."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import Http404
from django.utils.module_loading import import_string
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from monitoring.api import asked_shapes, shapes
from monitoring.api.records import RecordsView
from monitoring.asked import Erasure

MOST_SHOWN = 200


class ErasuresView(RecordsView):
    scopes = {"GET": "manage", "POST": "manage"}
    permission = "monitoring.add_erasure"

    def own(self) -> Any:
        return Erasure.objects.filter(project=self.principal.project)


@extend_schema(tags=["records"])
class Erasures(ErasuresView):
    """Erase by subject, across ledger, hot results, spool, records and exports; the newest 200 receipts."""

    @extend_schema(operation_id="list_erasures", parameters=[shapes.PROJECT], responses=asked_shapes.ErasuresPage)
    def get(self, request: Request) -> Response:
        return Response({"results": asked_shapes.ErasureShape(self.own()[:MOST_SHOWN], many=True).data})

    @extend_schema(
        operation_id="erase_subject",
        parameters=[shapes.PROJECT],
        request=asked_shapes.ErasureBody,
        responses={201: asked_shapes.ErasureShape, 202: asked_shapes.ErasureShape},
    )
    def post(self, request: Request) -> Response:
        """201: it is done. 202: the record store does not answer; the rest is done once it does."""
        body = self.body(asked_shapes.ErasureBody)
        principal = self.principal
        order = import_string(settings.ERASE)(principal.project, body["subject"], who=principal.key, why=body["why"])
        where = reverse("erasure", kwargs={"identifier": order.pk}, request=request)
        status = 201 if order.finished_at else 202
        return Response(asked_shapes.ErasureShape(order).data, status=status, headers={"Location": where})


@extend_schema(tags=["records"])
class OneErasure(ErasuresView):
    """One receipt: who erased what, when, and how much."""

    @extend_schema(operation_id="show_erasure", parameters=[shapes.PROJECT], responses=asked_shapes.ErasureShape)
    def get(self, request: Request, identifier: UUID) -> Response:
        order = self.own().filter(pk=identifier).first()
        if order is None:
            raise Http404
        return Response(asked_shapes.ErasureShape(order).data)
