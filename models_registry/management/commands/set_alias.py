"""`manage.py set_alias NAME ALIAS VERSION`: let an alias answer with a version."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from models_registry.api import shapes
from models_registry.management.registry import RegistryCommand, find_version, plain
from models_registry.models import Alias
from monitoring.command import who


class Command(RegistryCommand):
    help = "Let an alias of a model answer with a ready version."

    def options(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("alias")
        parser.add_argument("version", type=int)
        parser.add_argument("--why", default="", help="kept in the history")

    def work(self, *, project: str, name: str, alias: str, version: int, why: str, **_: Any) -> Any:
        row = find_version(project, name, version)
        return plain(shapes.AliasShape, Alias.point(row, alias, who=who(), why=why))
