"""`manage.py revoke_key KEY`: end a key; every process refuses it within a second."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from models_registry.api import shapes
from models_registry.management.registry import RegistryCommand, find_project, plain
from models_registry.models import ApiKey


class Command(RegistryCommand):
    help = "Revoke an API key, named by its id or its first characters."

    def options(self, parser: CommandParser) -> None:
        parser.add_argument("key", help="id or first characters")

    def work(self, *, project: str, key: str, **_: Any) -> Any:
        found = ApiKey.named(key, project_id=find_project(project).pk)
        found.revoke()
        return plain(shapes.KeyShape, found)
