"""A ready version as the doors see it, for tests that need no registry."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from models_registry.routing import Version
from models_registry.runtime.signature import Signature


def a_version(signature: Signature, **own: Any) -> Version:
    """One of project demo that takes and gives what the signature says; `own` are the fields a test is about."""
    fields: dict[str, Any] = {
        "id": UUID(int=1),
        "project_id": 1,
        "project": "demo",
        "model_id": 1,
        "model": "adder",
        "number": 1,
        "digest": "d",
        "runtime": "onnx",
        "served_digest": "d",
        "hard_limit_s": 1.0,
        "pool": "default",
        "open_limit": 1,
        "row_cost_s": (0.0, 0.0, 0.0),
    }
    return Version(signature=signature, **{**fields, **own})
