"""`manage.py configure_model NAME`: its words and limits; made if it is new."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandParser

from models_registry.api import shapes
from models_registry.management.registry import RegistryCommand, find_model, find_project, plain
from models_registry.models import RegisteredModel

LIMITS = ("description", "pool", "hard_limit_s", "open_limit", "cache_ttl_s", "privacy", "record_days")


class Command(RegistryCommand):
    help = "Change a model's description, pool and limits; with --new, register it first."

    def options(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--new", action="store_true", help="register the model; refused if it exists")
        parser.add_argument("--description")
        parser.add_argument("--pool", help="workers that run its queued predictions")
        parser.add_argument("--hard-limit", type=float, dest="hard_limit_s", help="seconds one attempt may take")
        parser.add_argument("--open-limit", type=int, help="most unfinished predictions")
        parser.add_argument(
            "--cache-ttl", type=float, dest="cache_ttl_s", help="seconds an answer is cached; 0: not at all"
        )

        parser.add_argument(
            "--privacy", type=json.loads, help='what is done to fields: {"input.email": "drop"}; {}: none'
        )
        parser.add_argument("--record-days", type=int, help="days its records are kept; 0: as the site does")

    def work(self, *, project: str, name: str, new: bool, **options: Any) -> Any:
        limits = {field: options[field] for field in LIMITS}
        if new:
            model = RegisteredModel.register(find_project(project), name, **limits)
        else:
            model = find_model(project, name).configure(**limits)
        return plain(shapes.ModelShape, model)
