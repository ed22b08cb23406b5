"""What the OpenAPI page says beyond the views themselves: how to sign in, and what an error looks like."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension

from serving_site import openapi_protocols

openapi_protocols.register()

_PROBLEM = {
    "type": "object",
    "description": "RFC 9457 problem details.",
    "required": ["type", "title", "status", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "code": {"type": "string", "description": "Stable and documented; decide by this."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "pointer": {"type": "string", "description": "JSON pointer to the offending part."},
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
        "request_id": {"type": "string"},
    },
}
_OIP_ERROR = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}

_READING = {"401": "No key, or one that is not valid.", "403": "The key lacks the scope.", "404": "Not found."}
_WRITING = {
    "400": "The body is not what it should be.",
    "409": "The state does not allow it.",
    "413": "Too large.",
    "415": "Not a media type this takes.",
    "422": "The body does not fit.",
    "429": "More than this project's share.",
    "503": "Try again after Retry-After seconds.",
}
_VERBS = {"get", "put", "post", "patch", "delete"}


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "models_registry.api.authentication.KeyAuthentication"
    name = "key"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "description": "An API key: `Authorization: Bearer sbk_…`"}


def document_errors(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Give every operation the errors it can answer with, in the shape of its protocol."""
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = _PROBLEM
    schemas["InferenceError"] = _OIP_ERROR
    schemas.update(openapi_protocols.SHAPES)
    for path, operations in result["paths"].items():
        name, media = _shape_of(path)
        content = {media: {"schema": {"$ref": f"#/components/schemas/{name}"}}}
        for verb in _VERBS & operations.keys():
            operation = operations[verb]
            operation.setdefault("summary", operation["operationId"].replace("_", " ").capitalize())
            texts = _READING if verb == "get" else {**_READING, **_WRITING}
            for status, text in texts.items():
                operation["responses"].setdefault(status, {"description": text, "content": content})
    return result


def _shape_of(path: str) -> tuple[str, str]:
    if path.startswith("/v2"):
        return "InferenceError", "application/json"
    return "Problem", "application/problem+json"
