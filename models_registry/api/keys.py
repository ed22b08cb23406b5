"""`/api/keys` and `/api/projects`: who may ask."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from models_registry import errors
from models_registry.api import shapes
from models_registry.api.base import RegistryView
from models_registry.models import ApiKey, Project


@extend_schema(tags=["keys"])
class Keys(RegistryView):
    """The project's keys. A key can issue another only within its own scopes and models."""

    scopes = {"GET": "manage", "POST": "manage"}
    bodies = {"POST": shapes.KeyBody}

    @extend_schema(operation_id="list_keys", responses=shapes.page_of(shapes.KeyShape))
    def get(self, request: Request) -> Response:
        rows = ApiKey.objects.filter(project_id=self.principal.project_id).select_related("project").order_by("-id")
        return self.page(rows, shapes.KeyShape)

    @extend_schema(operation_id="create_key", request=shapes.KeyBody, responses={201: shapes.IssuedKey})
    def post(self, request: Request) -> Response:
        body = self.body()
        models = self._allowed_models(body.get("model_names"))
        beyond = sorted(set(body["scopes"]) - self.principal.scopes)
        if beyond:
            raise errors.Forbidden(f"a key cannot hand out scopes it lacks: {', '.join(beyond)}")
        key, secret = ApiKey.issue(
            self.project(), body["name"], scopes=body["scopes"], model_names=models, expires_at=body.get("expires_at")
        )
        where = reverse("api-key", kwargs={"key": str(key.pk)}, request=request)
        answer = {**shapes.KeyShape(key).data, "secret": secret}
        return Response(answer, status=201, headers={"Location": where, "Cache-Control": "no-store"})

    def _allowed_models(self, wanted: list[str] | None) -> list[str] | None:
        mine = self.principal.models
        if mine is None:
            return wanted
        beyond = sorted(set(wanted or mine) - mine)
        if beyond:
            raise errors.Forbidden(f"a key cannot hand out models it may not use: {', '.join(beyond)}")
        return list(wanted or sorted(mine))


@extend_schema(tags=["keys"])
class Key(RegistryView):
    """One key, by its id or its first characters. It is revoked, not deleted: what it did keeps its name."""

    scopes = {"GET": "manage", "DELETE": "manage"}

    @extend_schema(operation_id="show_key", responses=shapes.KeyShape)
    def get(self, request: Request, key: str) -> Response:
        return Response(shapes.KeyShape(self._key(key)).data)

    @extend_schema(operation_id="revoke_key", responses={204: None})
    def delete(self, request: Request, key: str) -> Response:
        self._key(key).revoke()
        return Response(status=204)

    def _key(self, wanted: str) -> ApiKey:
        return ApiKey.named(wanted, project_id=self.principal.project_id)


@extend_schema(tags=["projects"])
class Projects(RegistryView):
    """A key sees the project it stands for, an administrator all of them; only an administrator makes one."""

    scopes = {"GET": "read", "POST": "manage"}
    bodies = {"POST": shapes.ProjectBody}

    @extend_schema(operation_id="list_projects", responses=shapes.page_of(shapes.ProjectShape))
    def get(self, request: Request) -> Response:
        rows = Project.objects.order_by("name")
        if not self._is_administrator():
            rows = rows.filter(pk=self.principal.project_id)
        return self.page(rows, shapes.ProjectShape)

    @extend_schema(operation_id="create_project", request=shapes.ProjectBody, responses={201: shapes.ProjectShape})
    def post(self, request: Request) -> Response:
        if not self._is_administrator():
            raise errors.Forbidden("only an administrator makes projects")
        return Response(shapes.ProjectShape(Project.start(self.body()["name"])).data, status=201)

    def _is_administrator(self) -> bool:
        return bool(self.person is not None and self.person.is_superuser)
