"""`/api/models`: what the project has, and its limits."""

from __future__ import annotations

from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from models_registry import errors
from models_registry.api import shapes
from models_registry.api.base import RegistryView
from models_registry.models import Alias, RegisteredModel


def with_aliases(rows: QuerySet[RegisteredModel]) -> QuerySet[RegisteredModel]:
    return rows.prefetch_related(Prefetch("aliases", Alias.objects.select_related("version")))


@extend_schema(tags=["models"])
class Models(RegistryView):
    """The project's models. A model is also made by publishing its first version."""

    scopes = {"GET": "read", "POST": "publish"}
    bodies = {"POST": shapes.ModelBody}

    @extend_schema(operation_id="list_models", responses=shapes.page_of(shapes.ModelShape))
    def get(self, request: Request) -> Response:
        return self.page(with_aliases(self.own_models()).order_by("name"), shapes.ModelShape)

    @extend_schema(operation_id="register_model", request=shapes.ModelBody, responses={201: shapes.ModelShape})
    def post(self, request: Request) -> Response:
        body = self.body()
        name = body.pop("name")
        if self.principal.models is not None and name not in self.principal.models:
            raise errors.Forbidden(f"this key may not use a model {name}")
        if body and not self.may("manage"):
            raise errors.Forbidden("limits need the scope manage")
        model = RegisteredModel.register(self.project(), name, **body)
        where = reverse("api-model", kwargs={"name": model.name}, request=request)
        return Response(shapes.ModelShape(model).data, status=201, headers={"Location": where})


@extend_schema(tags=["models"])
class Model(RegistryView):
    """One model: its aliases and limits."""

    scopes = {"GET": "read", "PATCH": "manage"}
    bodies = {"PATCH": shapes.ModelChange}

    @extend_schema(operation_id="show_model", responses=shapes.ModelShape)
    def get(self, request: Request, name: str) -> Response:
        return Response(shapes.ModelShape(self.model(name)).data)

    @extend_schema(operation_id="change_model", request=shapes.ModelChange, responses=shapes.ModelShape)
    def patch(self, request: Request, name: str) -> Response:
        return Response(shapes.ModelShape(self.model(name).configure(**self.body())).data)
