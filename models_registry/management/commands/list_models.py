"""`manage.py list_models`: what a project has, and which versions answer."""

from __future__ import annotations

from typing import Any

from models_registry.api import shapes
from models_registry.api.models import with_aliases
from models_registry.management.registry import RegistryCommand, find_project, plain


class Command(RegistryCommand):
    help = "List the models of a project with their aliases."
    columns = ["name", "aliases", "description", "hard_limit_s", "open_limit"]

    def work(self, *, project: str, **_: Any) -> Any:
        rows = with_aliases(find_project(project).models.select_related("project").order_by("name"))
        return [plain(shapes.ModelShape, row) for row in rows]
