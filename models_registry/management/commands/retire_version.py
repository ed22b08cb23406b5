"""`manage.py retire_version NAME NUMBER`: end a version nobody needs."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from models_registry.api import shapes
from models_registry.management.registry import RegistryCommand, find_version, plain
from monitoring.command import who


class Command(RegistryCommand):
    help = "Retire a version; refused while an alias or an open prediction needs it."

    def options(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("number", type=int)
        parser.add_argument("--why", default="", help="kept in the history")

    def work(self, *, project: str, name: str, number: int, why: str, **_: Any) -> Any:
        version = find_version(project, name, number).retire(who=who(), why=why)
        return plain(shapes.VersionShape, version)
