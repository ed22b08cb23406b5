"""`manage.py remove_alias NAME ALIAS`: take the name away."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from models_registry.management.registry import RegistryCommand, find_alias
from monitoring.command import who


class Command(RegistryCommand):
    help = "Remove an alias of a model; its version stays."

    def options(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("alias")
        parser.add_argument("--why", default="", help="kept in the history")

    def work(self, *, project: str, name: str, alias: str, why: str, **_: Any) -> Any:
        found = find_alias(project, name, alias)
        found.remove(who=who(), why=why)
        return {"removed": alias, "model": name}
