"""`manage.py roll_back_alias NAME ALIAS`: point it back at what answered before."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from models_registry import errors
from models_registry.api import shapes
from models_registry.management.registry import RegistryCommand, find_model, plain
from monitoring.command import who


class Command(RegistryCommand):
    help = "Point an alias back at the version that answered before its last change."

    def options(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("alias")
        parser.add_argument("--why", default="", help="kept in the history")

    def work(self, *, project: str, name: str, alias: str, why: str, **_: Any) -> Any:
        found = find_model(project, name).aliases.filter(name=alias).first()
        if found is None:
            raise errors.NotFound(f"alias {alias} not found")
        return plain(shapes.AliasShape, found.roll_back(who=who(), why=why))
