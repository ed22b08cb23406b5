"""`manage.py serve`: the whole product in one command, in the foreground."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from serving_site import supervisor


class Command(BaseCommand):
    """Reached only through another entry than manage.py, which serves before Django is loaded."""

    help = "Serve models on HOST:PORT in the foreground; Ctrl-C and SIGTERM drain."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        supervisor.enter()
