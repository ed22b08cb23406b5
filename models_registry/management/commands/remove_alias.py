"""`manage.py remove_alias NAME ALIAS`: take the name away."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from models_registry import errors
from models_registry.management.registry import RegistryCommand, find_model
from monitoring.command import who


class Command(RegistryCommand):
    help = "Remove an alias of a model; its version stays."

    def options(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("alias")
        parser.add_argument("--why", default="", help="kept in the history")

    def work(self, *, project: str, name: str, alias: str, why: str, **_: Any) -> Any:
        found = find_model(project, name).aliases.filter(name=alias).first()
        if found is None:
            raise errors.NotFound(f"alias {alias} not found")
        found.remove(who=who(), why=why)
        return {"removed": alias, "model": name}
