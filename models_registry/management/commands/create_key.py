"""`manage.py create_key`: a key for a program; its secret is printed this once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from models_registry.api import shapes
from models_registry.management.registry import RegistryCommand, find_project, plain
from models_registry.models import ApiKey
from models_registry.models.access import SCOPES


class Command(RegistryCommand):
    help = "Issue an API key; the secret is printed once and never stored."

    def options(self, parser: CommandParser) -> None:
        parser.add_argument("--name", required=True, help="what the key is for")
        parser.add_argument("--scopes", nargs="+", default=["predict", "read"], metavar="SCOPE", help=", ".join(SCOPES))
        parser.add_argument("--models", nargs="+", metavar="MODEL", help="only these models (default: all)")
        parser.add_argument("--days", type=float, help="expires after so many days (default: never)")

    def work(
        self, *, project: str, name: str, scopes: list[str], models: list[str] | None, days: float | None, **_: Any
    ) -> Any:
        wanted = [scope for given in scopes for scope in given.split(",") if scope]
        expires_at = timezone.now() + timedelta(days=days) if days is not None else None
        key, secret = ApiKey.issue(
            find_project(project), name, scopes=wanted, model_names=models, expires_at=expires_at
        )
        return {**plain(shapes.KeyShape, key), "secret": secret}
