"""`/api/models/{name}/versions`: publish, watch, retire."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from models_registry import errors, publishing
from models_registry.api import shapes
from models_registry.api.base import RegistryView
from models_registry.models import ModelVersion, Project, RegisteredModel, UploadKey
from models_registry.names import check_alias, check_name

_KEY_PATTERN = re.compile(r"[\x21-\x7e]{1,255}")


class VersionView(RegistryView):
    def version(self, name: str, number: int) -> ModelVersion:
        rows = self.model(name).versions.select_related("model__project").prefetch_related("aliases")
        found = rows.filter(number=number).first() if number < 2**31 else None
        if found is None:
            raise errors.NotFound(f"model {name} has no version {number}")
        return found


@extend_schema(tags=["versions"])
class Versions(VersionView):
    """Publish a model file. It is checked, compiled and compared in the background; `Location` tells how far it is."""

    scopes = {"GET": "read", "POST": "publish"}
    bodies = {"POST": shapes.UploadBody}
    parser_classes = [MultiPartParser]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        # Before a byte of the body is read: the parser would spool all of it to disk first.
        if int(request.META.get("CONTENT_LENGTH") or 0) > settings.SERVING["UPLOAD_LIMIT"]:
            raise errors.TooLarge(f"an upload is at most {settings.SERVING['UPLOAD_LIMIT']} bytes")

    @extend_schema(
        operation_id="list_versions",
        parameters=[OpenApiParameter("status", str, enum=ModelVersion.Status.values)],
        responses=shapes.page_of(shapes.VersionShape),
    )
    def get(self, request: Request, name: str) -> Response:
        rows = self.model(name).versions.select_related("model").prefetch_related("aliases").order_by("-number")
        status = request.query_params.get("status")
        if status is not None:
            if status not in ModelVersion.Status.values:
                raise errors.InvalidInput(f"a status is one of {', '.join(ModelVersion.Status.values)}", field="status")
            rows = rows.filter(status=status)
        return self.page(rows.defer("signature", "report"), shapes.VersionShape)

    @extend_schema(
        operation_id="publish_version",
        parameters=[OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER)],
        request={"multipart/form-data": shapes.UploadBody},
        responses={200: shapes.VersionDetail, 202: shapes.VersionDetail},
    )
    def post(self, request: Request, name: str) -> Response:
        alias: Any = request.data.get("alias")  # type: ignore[union-attr]
        self._check_may_publish(name, alias or None)
        body = self.body()
        key = _idempotency_key(request)
        fingerprint = _fingerprint(name, body) if key else ""
        version = self._seen(key, fingerprint)
        is_replay = version is not None
        if version is None:
            version = self._submit(name, body)
            version = self._remember(key, fingerprint, version)
        return self._answer(version, is_replay=is_replay)

    def _check_may_publish(self, name: str, alias: str | None) -> None:
        check_name(name)
        if self.principal.models is not None and name not in self.principal.models:
            raise errors.NotFound(f"model {name} not found")
        if alias is not None:
            check_alias(alias)
            if not self.may("manage"):
                raise errors.Forbidden("setting an alias needs the scope manage")

    def _submit(self, name: str, body: dict[str, Any]) -> ModelVersion:
        model, is_new = RegisteredModel.objects.get_or_create(project=self.project(), name=name)
        file: Any = body["file"]
        try:
            return publishing.submit(
                model,
                file,
                filename=file.name or "",
                sample=body.get("sample"),
                examples=body.get("examples"),
                alias=body.get("alias") or None,
                who=self.who,
                why=body["why"],
            )
        except errors.DomainError:
            if is_new:
                model.discard_if_empty()
            raise

    def _seen(self, key: str | None, fingerprint: str) -> ModelVersion | None:
        """The version an earlier upload under this key made; raises `InvalidInput` if that had another body."""
        if key is None:
            return None
        upload = UploadKey.objects.select_related("version__model").filter(project=self.project(), key=key).first()
        if upload is None:
            return None
        if upload.fingerprint != fingerprint:
            raise errors.InvalidInput("this Idempotency-Key was used with another body", field="Idempotency-Key")
        return upload.version

    def _remember(self, key: str | None, fingerprint: str, version: ModelVersion) -> ModelVersion:
        if key is None:
            return version
        project: Project = version.model.project
        try:
            with transaction.atomic():
                UploadKey.objects.create(project=project, key=key, fingerprint=fingerprint, version=version)
        except IntegrityError:
            # The same key came twice at once; the first one's version answers both.
            return self._seen(key, fingerprint) or version
        return version

    def _answer(self, version: ModelVersion, *, is_replay: bool) -> Response:
        where = reverse(
            "api-version", kwargs={"name": version.model.name, "number": version.number}, request=self.request
        )
        headers = {"Location": where} | ({"Idempotency-Replayed": "true"} if is_replay else {})
        status = 202 if version.status == ModelVersion.Status.PUBLISHING else 200
        return Response(shapes.VersionDetail(version).data, status=status, headers=headers)


@extend_schema(tags=["versions"])
class Version(VersionView):
    """One version with its signature and publishing report; `progress` names the step it is at."""

    scopes = {"GET": "read"}

    @extend_schema(operation_id="show_version", responses=shapes.VersionDetail)
    def get(self, request: Request, name: str, number: int) -> Response:
        return Response(shapes.VersionDetail(self.version(name, number)).data)


@extend_schema(tags=["versions"])
class Retire(VersionView):
    """End a version that no alias and no open prediction needs; otherwise 409."""

    scopes = {"POST": "manage"}
    bodies = {"POST": shapes.WhyBody}

    @extend_schema(operation_id="retire_version", request=shapes.WhyBody, responses=shapes.VersionDetail)
    def post(self, request: Request, name: str, number: int) -> Response:
        body = self.body()
        return Response(shapes.VersionDetail(self.version(name, number).retire(who=self.who, why=body["why"])).data)


def _idempotency_key(request: Request) -> str | None:
    """The header's key, quoted or bare; None without one."""
    raw = request.headers.get("Idempotency-Key")
    if raw is None:
        return None
    key = raw[1:-1] if len(raw) > 1 and raw[0] == raw[-1] == '"' else raw
    if not _KEY_PATTERN.fullmatch(key):
        raise errors.InvalidInput("an Idempotency-Key is 1 to 255 printable characters", field="Idempotency-Key")
    return key


def _fingerprint(name: str, body: dict[str, Any]) -> str:
    """SHA-256 over everything an upload says."""
    digest = hashlib.sha256(repr((name, body.get("alias"), body.get("examples"))).encode())
    for part in (body["file"], body.get("sample")):
        if part is not None:
            digest.update(f"{part.size}:".encode())
            for chunk in part.chunks():
                digest.update(chunk)
            part.seek(0)
    return digest.hexdigest()
