"""What goes in and out under `/api`: one serializer per shape, every field named."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field, inline_serializer
from rest_framework import serializers

from models_registry.api.base import StrictSerializer
from models_registry.models import ModelVersion
from models_registry.models.access import SCOPES


def page_of(shape: type[serializers.Serializer[Any]]) -> serializers.Serializer[Any]:
    """The schema of one page of `shape`."""
    return inline_serializer(
        name=f"{shape.__name__}Page",
        fields={
            "previous": serializers.URLField(allow_null=True),
            "next": serializers.URLField(allow_null=True),
            "results": shape(many=True),
        },
    )


class ProjectShape(serializers.Serializer[Any]):
    name = serializers.CharField()
    open_limit = serializers.IntegerField()
    created_at = serializers.DateTimeField()


class ProjectBody(StrictSerializer):
    name = serializers.CharField(max_length=64)


class ModelShape(serializers.Serializer[Any]):
    project = serializers.CharField(source="project.name")
    name = serializers.CharField()
    description = serializers.CharField()
    pool = serializers.CharField()
    hard_limit_s = serializers.FloatField()
    open_limit = serializers.IntegerField()
    cache_ttl_s = serializers.FloatField(help_text="Seconds an answer is cached; 0: not at all.")
    privacy = serializers.DictField(
        child=serializers.CharField(), help_text="What is done to fields before anything is stored: drop, hash, mask."
    )
    record_days = serializers.IntegerField(allow_null=True, help_text="Days records are kept; null: as the site does.")
    aliases = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()

    @extend_schema_field({"type": "object", "additionalProperties": {"type": "integer"}})
    def get_aliases(self, model: Any) -> dict[str, int]:
        return {alias.name: alias.version.number for alias in model.aliases.all()}


class ModelChange(StrictSerializer):
    description = serializers.CharField(max_length=2000, allow_blank=True, required=False)
    pool = serializers.CharField(max_length=32, required=False)
    hard_limit_s = serializers.FloatField(required=False)
    open_limit = serializers.IntegerField(required=False)
    cache_ttl_s = serializers.FloatField(required=False, help_text="Seconds an answer is cached; 0: not at all.")
    privacy = serializers.DictField(
        child=serializers.CharField(),
        required=False,
        help_text='What is done to fields before anything is stored, like `{"input.email": "drop", "input.name": '
        '"hash", "output.score": "mask"}`. Such a model has no response cache.',
    )
    record_days = serializers.IntegerField(required=False, help_text="Days records are kept; 0: as the site does.")


class ModelBody(ModelChange):
    name = serializers.CharField(max_length=64)


class VersionShape(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    model = serializers.CharField(source="model.name")
    number = serializers.IntegerField()
    status = serializers.ChoiceField(choices=ModelVersion.Status.choices)
    reason = serializers.CharField()
    progress = serializers.CharField()
    format = serializers.CharField()
    runtime = serializers.CharField()
    digest = serializers.CharField()
    filename = serializers.CharField()
    size_bytes = serializers.IntegerField()
    aliases = serializers.SerializerMethodField()
    created_by = serializers.CharField()
    created_at = serializers.DateTimeField()
    ready_at = serializers.DateTimeField(allow_null=True)
    retired_at = serializers.DateTimeField(allow_null=True)

    @extend_schema_field({"type": "array", "items": {"type": "string"}})
    def get_aliases(self, version: Any) -> list[str]:
        return [alias.name for alias in version.aliases.all()]


class VersionDetail(VersionShape):
    served_digest = serializers.CharField()
    configuration_digest = serializers.CharField()
    task_id = serializers.CharField()
    signature = serializers.DictField()
    report = serializers.DictField()


class UploadBody(StrictSerializer):
    file = serializers.FileField(help_text="The artefact: .skops or .onnx.")
    sample = serializers.FileField(required=False, help_text="Sample rows, CSV with a header line.")
    examples = serializers.JSONField(required=False, help_text="Golden examples, JSON.")
    alias = serializers.CharField(
        max_length=64, required=False, help_text="Alias to set once the version is ready; needs the scope manage."
    )
    why = serializers.CharField(max_length=2000, required=False, default="", allow_blank=True)


class AliasShape(serializers.Serializer[Any]):
    name = serializers.CharField()
    model = serializers.CharField(source="model.name")
    version = serializers.IntegerField(source="version.number")
    version_id = serializers.UUIDField()


class WhyBody(StrictSerializer):
    why = serializers.CharField(max_length=2000, required=False, default="", allow_blank=True)


class AliasBody(WhyBody):
    version = serializers.IntegerField(min_value=1, max_value=2**31 - 1)


class EventShape(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    at = serializers.DateTimeField()
    verb = serializers.CharField()
    alias = serializers.CharField()
    from_version = serializers.IntegerField(allow_null=True)
    to_version = serializers.IntegerField(allow_null=True)
    who = serializers.CharField()
    why = serializers.CharField()


class KeyShape(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    prefix = serializers.CharField()
    project = serializers.CharField(source="project.name")
    name = serializers.CharField()
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=SCOPES))
    model_names = serializers.ListField(child=serializers.CharField(), allow_null=True)
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True)


class IssuedKey(KeyShape):
    secret = serializers.CharField(help_text="Shown this once and never again.")


class KeyBody(StrictSerializer):
    name = serializers.CharField(max_length=64)
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=SCOPES), min_length=1, max_length=len(SCOPES))
    model_names = serializers.ListField(
        child=serializers.CharField(max_length=64), required=False, allow_null=True, max_length=100
    )
    expires_at = serializers.DateTimeField(required=False, allow_null=True)
