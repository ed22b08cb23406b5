"""`/api/models/{name}/aliases`: which version answers, and the history of it."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from models_registry import errors
from models_registry.api import shapes
from models_registry.api.base import RegistryView
from models_registry.models import Alias


class AliasView(RegistryView):
    def alias(self, name: str, alias: str) -> Alias:
        found = self.model(name).aliases.select_related("model", "version").filter(name=alias).first()
        if found is None:
            raise errors.NotFound(f"alias {alias} not found")
        return found


@extend_schema(tags=["aliases"])
class Aliases(RegistryView):
    """The model's aliases and the versions they point at."""

    scopes = {"GET": "read"}

    @extend_schema(operation_id="list_aliases", responses=shapes.page_of(shapes.AliasShape))
    def get(self, request: Request, name: str) -> Response:
        rows = self.model(name).aliases.select_related("model", "version").order_by("name")
        return self.page(rows, shapes.AliasShape)


@extend_schema(tags=["aliases"])
class OneAlias(AliasView):
    """Let an alias answer with a version, or take it away. Every change is an event."""

    scopes = {"GET": "read", "PUT": "manage", "DELETE": "manage"}
    bodies = {"PUT": shapes.AliasBody, "DELETE": shapes.WhyBody}

    @extend_schema(operation_id="show_alias", responses=shapes.AliasShape)
    def get(self, request: Request, name: str, alias: str) -> Response:
        return Response(shapes.AliasShape(self.alias(name, alias)).data)

    @extend_schema(operation_id="set_alias", request=shapes.AliasBody, responses=shapes.AliasShape)
    def put(self, request: Request, name: str, alias: str) -> Response:
        model = self.model(name)
        body = self.body()
        version = model.versions.filter(number=body["version"]).first()
        if version is None:
            raise errors.InvalidInput(f"model {name} has no version {body['version']}", field="version")
        return Response(shapes.AliasShape(Alias.point(version, alias, who=self.who, why=body["why"])).data)

    @extend_schema(
        operation_id="remove_alias", parameters=[OpenApiParameter("why", str)], request=None, responses={204: None}
    )
    def delete(self, request: Request, name: str, alias: str) -> Response:
        self.alias(name, alias).remove(who=self.who, why=request.query_params.get("why", "")[:2000])
        return Response(status=204)


@extend_schema(tags=["aliases"])
class RollBack(AliasView):
    """Point an alias back at the version that answered before the last change."""

    scopes = {"POST": "manage"}
    bodies = {"POST": shapes.WhyBody}

    @extend_schema(operation_id="roll_back_alias", request=shapes.WhyBody, responses=shapes.AliasShape)
    def post(self, request: Request, name: str, alias: str) -> Response:
        body = self.body()
        return Response(shapes.AliasShape(self.alias(name, alias).roll_back(who=self.who, why=body["why"])).data)


@extend_schema(tags=["aliases"])
class Events(RegistryView):
    """Who changed what answers, when, from what to what, and why; newest first."""

    scopes = {"GET": "read"}

    @extend_schema(
        operation_id="list_events",
        parameters=[OpenApiParameter("alias", str, description="Only events of this alias.")],
        responses=shapes.page_of(shapes.EventShape),
    )
    def get(self, request: Request, name: str) -> Response:
        rows: Any = self.model(name).events.order_by("-id")
        alias = request.query_params.get("alias")
        if alias is not None:
            rows = rows.filter(alias=alias.replace("\x00", ""))
        return self.page(rows, shapes.EventShape)
