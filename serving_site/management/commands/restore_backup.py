"""`manage.py restore_backup FILE`: a backup into a deployment that is migrated and empty, of either mode."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from serving_site import backup


class Command(BaseCommand):
    help = "Restore tables, artefacts and records from FILE into a migrated, empty deployment; start servers after it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        try:
            contents = backup.restore(file, progress=self._tell)
        except backup.Unusable as reason:
            raise CommandError(str(reason)) from reason
        rows = sum(contents.tables.values())
        self.stdout.write(f"Restored {rows} rows, {contents.artifacts} artefacts, {contents.records} records.")

    def _tell(self, what: str, done: int) -> None:
        if done % 10_000 == 0:
            self.stdout.write(f"  {what}: {done}")
