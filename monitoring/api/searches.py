"""`/api/records/searches`: searches under a name, one's own and those that others of the project share."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from monitoring.api import asked_shapes, shapes
from monitoring.api.errors import Conflict
from monitoring.api.records import RecordsView
from monitoring.asked import SavedSearch

#: Searches of one owner in one project.
MOST_KEPT = 100


def visible(project: str, owner: str) -> QuerySet[SavedSearch]:
    """The owner's own searches and those that others share."""
    return SavedSearch.objects.filter(Q(owner=owner) | Q(is_shared=True), project=project)


class SearchesView(RecordsView):
    def one(self, pk: int, *, own: bool) -> SavedSearch:
        """A search to look at, or (`own`) to change; what is not this principal's does not exist."""
        principal = self.principal
        found = visible(principal.project, principal.key).filter(pk=pk).first()
        if found is None or (own and found.owner != principal.key):
            raise Http404
        return found

    def shown(self, search: SavedSearch) -> dict[str, Any]:
        where = reverse("records", request=self.request)
        search.is_mine = search.owner == self.principal.key  # type: ignore[attr-defined]
        search.records = f"{where}?{search.conditions}"  # type: ignore[attr-defined]
        return dict(asked_shapes.SearchShape(search).data)

    def saved(self, search: SavedSearch) -> SavedSearch:
        body = self.body(asked_shapes.SearchBody)
        self.check_conditions(body["conditions"])
        for name, value in body.items():
            setattr(search, name, value)
        try:
            with transaction.atomic():
                search.save()
        except IntegrityError as error:
            raise Conflict(f"you have a search named {body['name']}") from error
        return search


@extend_schema(tags=["records"])
class Searches(SearchesView):
    """Saved searches: one's own, and those that are shared within the project."""

    scopes = {"GET": "read", "POST": "read"}

    @extend_schema(operation_id="list_searches", parameters=[shapes.PROJECT], responses=asked_shapes.SearchesPage)
    def get(self, request: Request) -> Response:
        principal = self.principal
        return Response({"results": [self.shown(one) for one in visible(principal.project, principal.key)]})

    @extend_schema(
        operation_id="save_search",
        parameters=[shapes.PROJECT],
        request=asked_shapes.SearchBody,
        responses={201: asked_shapes.SearchShape},
    )
    def post(self, request: Request) -> Response:
        principal = self.principal
        if SavedSearch.objects.filter(project=principal.project, owner=principal.key).count() >= MOST_KEPT:
            raise Conflict(f"an owner keeps at most {MOST_KEPT} searches: remove one first")
        search = self.saved(SavedSearch(project=principal.project, owner=principal.key))
        where = reverse("record-search", kwargs={"pk": search.pk}, request=request)
        return Response(self.shown(search), status=201, headers={"Location": where})


@extend_schema(tags=["records"])
class OneSearch(SearchesView):
    """One saved search; only its owner changes or removes it."""

    scopes = {"GET": "read", "PUT": "read", "DELETE": "read"}

    @extend_schema(operation_id="show_search", parameters=[shapes.PROJECT], responses=asked_shapes.SearchShape)
    def get(self, request: Request, pk: int) -> Response:
        return Response(self.shown(self.one(pk, own=False)))

    @extend_schema(
        operation_id="change_search",
        parameters=[shapes.PROJECT],
        request=asked_shapes.SearchBody,
        responses=asked_shapes.SearchShape,
    )
    def put(self, request: Request, pk: int) -> Response:
        return Response(self.shown(self.saved(self.one(pk, own=True))))

    @extend_schema(operation_id="remove_search", parameters=[shapes.PROJECT], responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        self.one(pk, own=True).delete()
        return Response(status=204)
