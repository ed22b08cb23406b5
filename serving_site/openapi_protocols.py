"""The prediction protocols in the OpenAPI description: their views read raw bytes, so the shapes stand here."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiViewExtension
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view

Shape = dict[str, Any]


def _ref(name: str) -> Shape:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(required: list[str] | None = None, **properties: Shape) -> Shape:
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


_TEXT: Shape = {"type": "string"}
_MAYBE_TEXT: Shape = {"type": ["string", "null"]}
_TIME: Shape = {"type": ["string", "null"], "format": "date-time"}
_ANY: Shape = {"type": "object", "additionalProperties": True}

SHAPES: dict[str, Shape] = {
    "QueuedRequest": _object(
        ["input"],
        model={"type": "string", "description": "Name of the model, or owner/name."},
        version={"type": "string", "description": "Number or alias beside `model`; alone, a version's id."},
        input={
            "type": "object",
            "description": 'Rows as lists or as objects by column name: {"instances": [[5.1, 3.5, 1.4, 0.2]]}',
            "additionalProperties": True,
        },
        priority={"type": "string", "enum": ["interactive", "standard", "bulk"]},
    ),
    "QueuedPrediction": _object(
        ["id", "status"],
        id=_TEXT,
        model=_TEXT,
        version=_TEXT,
        input=_ANY,
        output={"description": "The outputs by name, one entry per instance; null until then."},
        error=_MAYBE_TEXT,
        status={"type": "string", "enum": ["starting", "processing", "succeeded", "failed", "canceled"]},
        created_at=_TIME,
        started_at=_TIME,
        completed_at=_TIME,
        metrics=_ANY,
        urls=_ANY,
    ),
    "QueuedPredictionPage": _object(
        previous=_MAYBE_TEXT, next=_MAYBE_TEXT, results={"type": "array", "items": _ref("QueuedPrediction")}
    ),
    "ReplicateModel": _ANY,
    "ReplicateVersion": _ANY,
    "ReplicateVersionPage": _object(
        previous=_MAYBE_TEXT, next=_MAYBE_TEXT, results={"type": "array", "items": _ref("ReplicateVersion")}
    ),
}

_TENSORS: Shape = {"type": "array", "items": _ref("Tensor")}
SHAPES |= {
    "Tensor": _object(
        ["name", "shape", "datatype"],
        name=_TEXT,
        shape={"type": "array", "items": {"type": "integer"}},
        datatype={"type": "string", "description": "FP64, FP32, INT64, BOOL, BYTES, …"},
        data={"description": "Values in row-major order, flat or nested; null where the signature allows a gap."},
        parameters=_ANY,
    ),
    "InferenceRequest": _object(
        ["inputs"],
        id=_TEXT,
        parameters=_ANY,
        inputs=_TENSORS,
        outputs={"type": "array", "items": _object(["name"], name=_TEXT, parameters=_ANY)},
    ),
    "InferenceResponse": _object(
        ["model_name", "outputs"],
        model_name=_TEXT,
        model_version=_TEXT,
        id=_TEXT,
        parameters=_ANY,
        outputs=_TENSORS,
    ),
    "Flags": {"type": "object", "additionalProperties": {"type": "boolean"}},
    "Metadata": _ANY,
}

_CACHE = [
    OpenApiParameter(
        "Cache-Control",
        str,
        OpenApiParameter.HEADER,
        description="Of a model with a response cache: no-cache (or max-age=0) runs it, no-store also keeps nothing.",
    ),
    OpenApiParameter(
        "Cache-Status",
        str,
        OpenApiParameter.HEADER,
        response=[200, 201],
        description="What the response cache did (RFC 9211); absent where the model has none.",
    ),
]
_PREFER = [
    OpenApiParameter("Prefer", str, OpenApiParameter.HEADER, description="wait, wait=n (seconds) or respond-async"),
    OpenApiParameter("Cancel-After", str, OpenApiParameter.HEADER, description="The prediction's deadline, e.g. 30s"),
    OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER),
    *_CACHE,
]
_FILTERS = [
    OpenApiParameter("cursor", str, description="From `next` or `previous` of a page."),
    OpenApiParameter("model", str),
    OpenApiParameter(
        "status", {"type": "string", "enum": ["starting", "processing", "succeeded", "failed", "canceled"]}
    ),
    OpenApiParameter("since", str, description="Accepted at or after, ISO 8601."),
    OpenApiParameter("until", str, description="Accepted before, ISO 8601."),
]
_QUEUED = "predictions (queued)"


def _operation(name: str, answer: str, *, tag: str = _QUEUED, statuses: tuple[int, ...] = (200,), **more: Any) -> Any:
    return extend_schema(operation_id=name, tags=[tag], responses={status: _ref(answer) for status in statuses}, **more)


def _accepting(name: str) -> Any:
    body = {"application/json": _ref("QueuedRequest")}
    return _operation(name, "QueuedPrediction", statuses=(201, 202), request=body, parameters=_PREFER)


_REST = OpenApiParameter(
    "rest", str, OpenApiParameter.PATH, description="`name`, `project/name`, each optionally with `/versions/{v}`."
)


def _online(name: str, answer: str, **more: Any) -> Any:
    return _operation(name, answer, tag="predictions (online)", **more)


_ONLINE_VIEWS: dict[str, dict[str, Any]] = {
    "predictions.online.views.Live": {"get": _online("is_live", "Flags")},
    "predictions.online.views.Ready": {"get": _online("is_ready", "Flags")},
    "predictions.online.views.Server": {"get": _online("show_server", "Metadata")},
    "predictions.online.views.Models": {"get": _online("list_served_models", "Metadata")},
    "predictions.online.views.Model": {"get": _online("show_served_model", "Metadata", parameters=[_REST])},
    "predictions.online.views.ModelReady": {"get": _online("is_model_ready", "Metadata", parameters=[_REST])},
    "predictions.online.views.Infer": {
        "post": _online(
            "infer",
            "InferenceResponse",
            parameters=[_REST, *_CACHE],
            request={"application/json": _ref("InferenceRequest"), "application/octet-stream": bytes},
        )
    },
}

_VIEWS: dict[str, dict[str, Any]] = {
    "predictions.queued.views.PredictionsView": {
        "get": _operation("list_predictions", "QueuedPredictionPage", parameters=_FILTERS),
        "post": _accepting("create_prediction"),
    },
    "predictions.queued.views.ModelPredictionsView": {"post": _accepting("create_prediction_of_model")},
    "predictions.queued.views.PredictionView": {
        "get": _operation("show_prediction", "QueuedPrediction", parameters=_CACHE[1:])
    },
    "predictions.queued.views.CancelView": {"post": _operation("cancel_prediction", "QueuedPrediction", request=None)},
    "predictions.queued.views.ModelView": {"get": _operation("show_replicate_model", "ReplicateModel")},
    "predictions.queued.views.VersionsView": {"get": _operation("list_replicate_versions", "ReplicateVersionPage")},
    "predictions.queued.views.VersionView": {"get": _operation("show_replicate_version", "ReplicateVersion")},
}


def register() -> None:
    """Tell the generator about every view of the table."""
    for target, operations in (_VIEWS | _ONLINE_VIEWS).items():
        _register(target, operations)


def _register(target: str, operations: dict[str, Any]) -> None:
    class Documented(OpenApiViewExtension):  # type: ignore[no-untyped-call]
        target_class = target

        def view_replacement(self) -> Any:
            found: Any = self.target_class
            documented = type(found.__name__, (found,), {"__doc__": found.__doc__})
            return extend_schema_view(**operations)(documented)
