"""Bodies and answers of saved searches, exports and erasures."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from monitoring.asked import Erasure, Export, SavedSearch
from monitoring.formats import FORMATS


class _Strict(serializers.Serializer[Any]):
    """A body whose unknown fields are refused."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            unknown = sorted(str(name) for name in set(data) - set(self.fields))
            if unknown:
                raise serializers.ValidationError({name: ["unknown field"] for name in unknown[:20]})
        return super().to_internal_value(data)


class _Conditions(serializers.CharField):
    """A query string as `/api/records` takes it, like `model=iris&status=failed`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            max_length=2000,
            allow_blank=True,
            default="",
            help_text="Parameters of `GET /api/records` as a query string, like `model=iris&status=failed`.",
            **options,
        )


class ExportBody(_Strict):
    format = serializers.ChoiceField(list(FORMATS))
    conditions = _Conditions()


class ExportShape(serializers.ModelSerializer[Export]):
    percent = serializers.IntegerField(help_text="0 to 100; 100 only when the file is whole.")
    file = serializers.URLField(allow_null=True, default=None, help_text="Where the file is, once it is ready.")

    class Meta:
        model = Export
        fields = [
            *("id", "project", "who", "format", "conditions", "state", "percent", "total", "done", "size_bytes"),
            *("error", "created_at", "finished_at", "expires_at", "file"),
        ]


class ExportsPage(serializers.Serializer[Any]):
    results = ExportShape(many=True)


class SearchBody(_Strict):
    name = serializers.CharField(max_length=64)
    conditions = _Conditions()
    is_shared = serializers.BooleanField(default=False, help_text="Let everybody of the project see it.")


class SearchShape(serializers.ModelSerializer[SavedSearch]):
    is_mine = serializers.BooleanField()
    records = serializers.URLField(help_text="The search itself.")

    class Meta:
        model = SavedSearch
        fields = ["id", "name", "owner", "conditions", "is_shared", "is_mine", "created_at", "records"]


class SearchesPage(serializers.Serializer[Any]):
    results = SearchShape(many=True)


class ErasureBody(_Strict):
    subject = serializers.CharField(max_length=256, help_text="As clients sent it in `X-Subject-ID`.")
    why = serializers.CharField(max_length=500, allow_blank=True, default="")


class ErasureShape(serializers.ModelSerializer[Erasure]):
    class Meta:
        model = Erasure
        fields = ["id", "project", "subject", "who", "why", "asked_at", "finished_at", "counts", "late"]


class ErasuresPage(serializers.Serializer[Any]):
    results = ErasureShape(many=True)
