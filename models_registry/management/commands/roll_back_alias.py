"""`manage.py roll_back_alias NAME ALIAS`: point it back at what answered before."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from models_registry.api import shapes
from models_registry.management.registry import RegistryCommand, find_alias, plain
from monitoring.command import who


class Command(RegistryCommand):
    help = "Point an alias back at the version that answered before its last change."

    def options(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("alias")
        parser.add_argument("--why", default="", help="kept in the history")

    def work(self, *, project: str, name: str, alias: str, why: str, **_: Any) -> Any:
        found = find_alias(project, name, alias)
        return plain(shapes.AliasShape, found.roll_back(who=who(), why=why))
