"""Models and versions in Replicate's shape, so that its client can look up what it runs."""

from __future__ import annotations

from typing import Any

from models_registry.routing import CHAMPION, Entry, Version
from models_registry.runtime.signature import Signature, TensorSpec
from monitoring.ids import time_of

#: Clients take array outputs of versions before 0.3.9 for streams.
COG_VERSION = "0.9.0"

_JSON_TYPES = {"BOOL": "boolean", "BYTES": "string", "FP16": "number", "FP32": "number", "FP64": "number"}


def show_model(entry: Entry, *, base: str, description: str) -> dict[str, Any]:
    """One model; its latest version is the champion, or the newest ready one."""
    number = entry.aliases.get(CHAMPION, max(entry.versions, default=0))
    latest = entry.versions.get(number)
    return {
        "url": f"{base}/v1/models/{entry.project}/{entry.name}",
        "owner": entry.project,
        "name": entry.name,
        "description": description or None,
        "visibility": "private",
        "github_url": None,
        "paper_url": None,
        "license_url": None,
        "run_count": 0,
        "cover_image_url": None,
        "default_example": None,
        "latest_version": show_version(latest) if latest is not None else None,
        "aliases": dict(entry.aliases),
    }


def show_version(version: Version) -> dict[str, Any]:
    """One version by its globally unique id."""
    return {
        "id": str(version.id),
        "created_at": time_of(version.id).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "cog_version": COG_VERSION,
        "openapi_schema": openapi_schema(version.signature),
        "number": version.number,
        "digest": version.digest,
    }


def openapi_schema(signature: Signature) -> dict[str, Any]:
    """What a version takes and gives, as OpenAPI components."""
    columns = _columns(signature)
    as_object = {
        "type": "object",
        "properties": columns,
        "required": [name for name, schema in columns.items() if not schema.get("nullable")],
        "additionalProperties": False,
    }
    instances = {"type": "array", "minItems": 1, "items": {"anyOf": [as_object, {"type": "array"}]}}
    return {
        "openapi": "3.0.2",
        "info": {"title": "Serving Blueprint", "version": "1"},
        "paths": {},
        "components": {
            "schemas": {
                "Input": {"type": "object", "properties": {"instances": instances}, "required": ["instances"]},
                "Output": {
                    "type": "object",
                    "properties": {
                        spec.name: {"type": "array", "items": _schema(spec, spec.shape[1:])}
                        for spec in signature.outputs
                    },
                },
            }
        },
    }


def _columns(signature: Signature) -> dict[str, dict[str, Any]]:
    only = signature.inputs[0]
    if len(signature.inputs) == 1 and only.columns:
        return {name: _schema(only, ()) for name in only.columns}
    return {spec.name: _schema(spec, () if signature.by_column else spec.shape[1:]) for spec in signature.inputs}


def _schema(spec: TensorSpec, shape: tuple[int, ...]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": _JSON_TYPES.get(spec.datatype, "integer")}
    if spec.nullable:
        schema["nullable"] = True
    if shape == (1,):
        return schema
    for length in reversed(shape):
        schema = {"type": "array", "items": schema}
        if length > 0:
            schema |= {"minItems": length, "maxItems": length}
    return schema
