"""`manage.py list_projects`: all tenants."""

from __future__ import annotations

from typing import Any

from models_registry.api import shapes
from models_registry.management.registry import plain
from models_registry.models import Project
from monitoring.command import VerbCommand


class Command(VerbCommand):
    help = "List the projects."

    def work(self, **_: Any) -> Any:
        return [plain(shapes.ProjectShape, project) for project in Project.objects.all()]
