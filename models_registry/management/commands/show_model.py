"""`manage.py show_model NAME`: its versions, what answers, and what changed last."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from models_registry.api import shapes
from models_registry.management.registry import RegistryCommand, find_model, plain

#: Versions and events that are shown, newest first.
_MOST = 20


class Command(RegistryCommand):
    help = "Show a model: its versions, aliases and last changes."

    def options(self, parser: CommandParser) -> None:
        parser.add_argument("name")

    def work(self, *, project: str, name: str, **_: Any) -> Any:
        model = find_model(project, name)
        versions = model.versions.select_related("model").prefetch_related("aliases").order_by("-number")[:_MOST]
        return {
            **plain(shapes.ModelShape, model),
            "versions": [plain(shapes.VersionShape, version) for version in versions],
            "events": [plain(shapes.EventShape, event) for event in model.events.order_by("-id")[:_MOST]],
        }

    def show(self, answer: Any) -> None:
        versions, events = answer.pop("versions"), answer.pop("events")
        super().show(answer)
        for title, rows, columns in (
            ("Versions", versions, ["number", "status", "runtime", "format", "aliases", "digest", "created_at"]),
            ("Changes", events, ["at", "verb", "alias", "from_version", "to_version", "who", "why"]),
        ):
            self.stdout.write(f"\n{title}")
            self.columns = columns
            super().show(rows)
