"""`manage.py list_keys`: who may ask, without their secrets."""

from __future__ import annotations

from typing import Any

from models_registry.api import shapes
from models_registry.management.registry import RegistryCommand, find_project, plain


class Command(RegistryCommand):
    help = "List the API keys of a project."
    columns = ["id", "prefix", "name", "scopes", "model_names", "expires_at", "revoked_at", "last_used_at"]

    def work(self, *, project: str, **_: Any) -> Any:
        return [plain(shapes.KeyShape, key) for key in find_project(project).keys.select_related("project")]
