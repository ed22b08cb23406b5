"""What every view of the registry shares: whose project it is, strict bodies, and pages without a count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from models_registry import errors, snapshot
from models_registry.models import Project, RegisteredModel

#: What a signed-in person needs in the place of a key's scope; a superuser has all of them.
SESSION_PERMISSIONS = {
    "read": "models_registry.view_registeredmodel",
    "publish": "models_registry.add_modelversion",
    "manage": "models_registry.change_registeredmodel",
}


class StrictSerializer(serializers.Serializer[Any]):
    """A body whose unknown fields are refused: what a client may not set it cannot seem to set."""

    #: A browser's form carries this one for its own protection.
    not_ours = frozenset({"csrfmiddlewaretoken"})

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = sorted(str(name) for name in set(data) - set(self.fields) - self.not_ours)
            if unknown:
                raise serializers.ValidationError({name: ["unknown field"] for name in unknown[:20]})
        return super().to_internal_value(data)


class Pages(CursorPagination):
    """`previous`, `next` and `results`; the cursor names a row, so a page costs the same wherever it lies."""

    page_size = 50
    max_page_size = 200
    page_size_query_param = "limit"

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any] | None:
        try:
            return super().paginate_queryset(queryset, request, view)
        except (ValueError, OverflowError, DjangoValidationError) as error:
            raise errors.InvalidInput("the cursor is not one that was handed out", field="cursor") from error

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: Any) -> tuple[str, ...]:
        return tuple(map(str, queryset.query.order_by))


class RegistryView(APIView):
    """A view of the principal's own project. `scopes` and `bodies` name the scope and the body of each method."""

    scopes: ClassVar[dict[str, str]] = {}
    bodies: ClassVar[dict[str, type[serializers.Serializer[Any]]]] = {}

    def check_permissions(self, request: Request) -> None:
        super().check_permissions(request)
        method = "GET" if request.method in ("HEAD", "OPTIONS") else request.method or ""
        if self.person is not None and method in self.scopes and not self.may(self.scopes[method]):
            raise errors.Forbidden(f"this account lacks the permission {SESSION_PERMISSIONS[self.scopes[method]]}")

    @property
    def person(self) -> Any:
        """The signed-in user, or None when a key or nobody asks."""
        user = self.request.user
        return None if user is None or isinstance(user, snapshot.Principal) else user

    def may(self, scope: str) -> bool:
        """Whether the key holds the scope, or the person the permission that stands for it."""
        if self.person is not None:
            return bool(self.person.has_perm(SESSION_PERMISSIONS[scope]))
        return scope in self.principal.scopes

    @property
    def principal(self) -> snapshot.Principal:
        return snapshot.principal_of(self.request)

    @property
    def who(self) -> str:
        """The name that events keep: the signed-in person's, or the key's."""
        return str(self.person.get_username()) if self.person is not None else f"key {self.principal.key}"

    def project(self) -> Project:
        return Project.objects.get(pk=self.principal.project_id)

    def own_models(self) -> QuerySet[RegisteredModel]:
        """The models this principal may see; all others do not exist for it."""
        mine = RegisteredModel.objects.filter(project_id=self.principal.project_id).select_related("project")
        allowed = self.principal.models
        return mine if allowed is None else mine.filter(name__in=allowed)

    def model(self, name: str) -> RegisteredModel:
        model = self.own_models().filter(name=name).first()
        if model is None:
            raise errors.NotFound(f"model {name} not found")
        return model

    def body(self) -> dict[str, Any]:
        """The checked body of this method."""
        serializer = self.get_serializer(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)

    def get_serializer(self, *args: Any, **kwargs: Any) -> serializers.Serializer[Any]:
        """The body's shape for this method; the browsable pages fill their forms from it."""
        return self.bodies.get(self.request.method or "", StrictSerializer)(*args, **kwargs)

    def page(self, rows: QuerySet[Any], shape: type[serializers.Serializer[Any]]) -> Response:
        """One page of rows, in their own order."""
        pages = Pages()
        found = pages.paginate_queryset(rows, self.request, self) or []
        return pages.get_paginated_response(shape(found, many=True, context={"request": self.request}).data)
