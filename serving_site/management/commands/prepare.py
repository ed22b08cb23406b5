"""Prepare a data folder: tables, demo credentials, demo models. `serve` runs it when something is new."""

from __future__ import annotations

import json
import os
import secrets
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command, get_commands
from django.core.management.base import BaseCommand

from models_registry.models import ApiKey, Project
from models_registry.models.access import digest_of

PROJECT = "demo"
SCOPES = ("predict", "read", "publish", "manage")


class Command(BaseCommand):
    help = "Migrate the database, make the demo credentials and publish the demo models; does only what is missing."

    def handle(self, *args: Any, **options: Any) -> None:
        self._step("Migrating the database", lambda: call_command("migrate", verbosity=0, interactive=False))
        self._step("Making the demo credentials", ensure_credentials)
        if "quickstart" in get_commands():
            self._step("Training and publishing the demo models", lambda: call_command("quickstart"))

    def _step(self, what: str, work: Any) -> None:
        self.stdout.write(f"{what} …")
        self.stdout.flush()
        started = time.monotonic()
        work()
        self.stdout.write(f"{what}: done in {time.monotonic() - started:.1f} s")


def _still_works(path: Path, project: Project) -> bool:
    """Is the key of the file one of this database? It is not when the database was replaced."""
    if not path.exists():
        return False
    known = json.loads(path.read_text())
    return project.keys.filter(digest=digest_of(known["api_key"])).exists()


def ensure_credentials() -> None:
    """Leave one admin login and one key of project demo in the data folder, unless they are there and still work."""
    path = Path(settings.DATA_DIR) / "credentials.json"
    project, _ = Project.objects.get_or_create(name=PROJECT)
    if _still_works(path, project):
        return
    password = secrets.token_urlsafe(12)
    admin, _ = get_user_model().objects.get_or_create(
        username="admin", defaults={"is_staff": True, "is_superuser": True}
    )
    admin.set_password(password)
    admin.save()
    _, key = ApiKey.issue(project, "demo", scopes=SCOPES)
    facts = {"project": PROJECT, "admin": {"user": "admin", "password": password}, "api_key": key}
    draft = path.with_suffix(".new")
    with open(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
        json.dump(facts, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
