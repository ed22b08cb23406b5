"""The shapes of `/api/records` and `/health/ready`, for the schema; documents come from the store as they are."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema_serializer
from rest_framework import serializers

from monitoring.records import TERMINAL


class ValueShape(serializers.Serializer[Any]):
    """One searchable value of the first instance: a number or a text."""

    side = serializers.ChoiceField(["input", "output"])
    name = serializers.CharField()
    number = serializers.FloatField(required=False)
    text = serializers.CharField(required=False)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "An online prediction of iris",
            value={
                "id": "0198f2a0-1b2c-7d3e-8f40-5a6b7c8d9e0f",
                "project": "demo",
                "model": "iris",
                "version": 1,
                "version_id": "0198f29f-0000-7aaa-8bbb-0123456789ab",
                "digest": "9f2c…",
                "route": "alias champion",
                "door": "online",
                "protocol": "oip",
                "status": "succeeded",
                "accepted_at": "2026-03-01T12:00:00.123000+00:00",
                "completed_at": "2026-03-01T12:00:00.124100+00:00",
                "key": "a1b2c3",
                "request_id": "my-request-7",
                "subject": "",
                "error_code": "",
                "error": "",
                "rows": 1,
                "queue_ms": 0.02,
                "inference_ms": 0.4,
                "total_ms": 1.1,
                "cached": False,
                "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
                "inputs": {"input": [[5.1, 3.5, 1.4, 0.2]]},
                "outputs": {"label": ["setosa"]},
                "values": [
                    {"side": "input", "name": "sepal_length", "number": 5.1},
                    {"side": "output", "name": "label", "text": "setosa"},
                ],
            },
            response_only=True,
        )
    ]
)
class RecordShape(serializers.Serializer[Any]):
    """What is kept about one finished prediction. Times are UTC, durations milliseconds.

    `inputs` and `outputs` are whole up to 16 KiB (online) or 1 MiB (queued); beyond that they hold the SHA-256, the
    shape and the first rows.
    """

    id = serializers.UUIDField()
    project = serializers.CharField()
    model = serializers.CharField()
    version = serializers.IntegerField()
    version_id = serializers.UUIDField()
    digest = serializers.CharField()
    route = serializers.CharField()
    door = serializers.ChoiceField(["online", "queued"])
    protocol = serializers.CharField()
    status = serializers.ChoiceField(list(TERMINAL))
    accepted_at = serializers.DateTimeField()
    completed_at = serializers.DateTimeField()
    key = serializers.CharField()
    request_id = serializers.CharField()
    subject = serializers.CharField(help_text="Keyed hash of the `X-Subject-ID` that the client sent.")
    error_code = serializers.CharField()
    error = serializers.CharField()
    rows = serializers.IntegerField()
    queue_ms = serializers.FloatField()
    inference_ms = serializers.FloatField()
    total_ms = serializers.FloatField()
    cached = serializers.BooleanField()
    trace_id = serializers.CharField()
    inputs = serializers.JSONField(allow_null=True)
    outputs = serializers.JSONField(allow_null=True)
    values = ValueShape(many=True)


class RecordsPage(serializers.Serializer[Any]):
    """Newest first. A page may be short and still have a cursor: one search looks through a bounded number."""

    results = RecordShape(many=True)
    cursor = serializers.CharField(allow_null=True)
    next = serializers.URLField(allow_null=True)


class CountShape(serializers.Serializer[Any]):
    start = serializers.DateTimeField()
    model = serializers.CharField()
    version = serializers.IntegerField()
    status = serializers.ChoiceField(list(TERMINAL))
    count = serializers.IntegerField()
    mean_ms = serializers.FloatField(required=False)
    most_ms = serializers.FloatField(required=False)


class CountsPage(serializers.Serializer[Any]):
    """Numbers per stretch of `seconds`, model, version and status, oldest first; empty stretches are left out."""

    seconds = serializers.IntegerField()
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    results = CountShape(many=True)


class PartShape(serializers.Serializer[Any]):
    state = serializers.ChoiceField(["ok", "degraded", "down"])
    detail = serializers.CharField(allow_blank=True)


class HealthShape(serializers.Serializer[Any]):
    status = serializers.ChoiceField(["ok", "degraded", "unavailable"])
    ready = serializers.BooleanField()
    parts = serializers.DictField(child=PartShape())
    took_ms = serializers.FloatField()


FILTERS = [
    OpenApiParameter("model", str, description="Name of the model."),
    OpenApiParameter("version", int, description="Number of the version."),
    OpenApiParameter("status", str, enum=TERMINAL),
    OpenApiParameter("door", str, enum=["online", "queued"]),
    OpenApiParameter("error_code", str, description="Stable code of the error, like `model_error`."),
    OpenApiParameter("q", str, description="Text within the error's message, whatever its case."),
    OpenApiParameter("request_id", str, description="The id the client gave its request."),
    OpenApiParameter("text", str, description="Words within the texts of the first instance, inputs or outputs."),
    OpenApiParameter("subject", str, description="Whom it is about, as the client said it in `X-Subject-ID`."),
    OpenApiParameter("since", OpenApiTypes.DATETIME, description="Accepted at this time or later (ISO 8601)."),
    OpenApiParameter("until", OpenApiTypes.DATETIME, description="Accepted before this time (ISO 8601)."),
    OpenApiParameter("min_ms", float, description="Took at least so many milliseconds."),
    OpenApiParameter("max_ms", float, description="Took at most so many milliseconds."),
    OpenApiParameter(
        "value",
        str,
        many=True,
        description="A value of the first instance, up to five times: `input.sepal_length:5..6`, "
        "`input.age:30..`, `output.value:..0.5`, `output.label:setosa`. Bounds are inclusive.",
    ),
]
PROJECT = OpenApiParameter("project", str, description="Which project, for people who are logged in; a key has one.")
