"""`manage.py create_project NAME`: a tenant of its own."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from models_registry import errors
from models_registry.api import shapes
from models_registry.management.registry import plain
from models_registry.models import Project
from monitoring.command import VerbCommand


class Command(VerbCommand):
    help = "Make a project: models, keys and predictions of its own."
    refusals = (errors.DomainError,)

    def options(self, parser: CommandParser) -> None:
        parser.add_argument("name")

    def work(self, *, name: str, **_: Any) -> Any:
        return plain(shapes.ProjectShape, Project.start(name))
