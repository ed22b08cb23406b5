"""`manage.py back_up FILE`: tables, artefacts and records into one file; servers may run meanwhile."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from serving_site import backup


class Command(BaseCommand):
    help = "Write tables, artefacts and records to FILE (a zip); restore it with `restore_backup`."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--replace", action="store_true", help="write over a file that is there")

    def handle(self, *args: Any, file: Path, replace: bool, **options: Any) -> None:
        if file.exists() and not replace:
            raise CommandError(f"{file} exists; name another file or say --replace.")
        if not file.parent.is_dir():
            raise CommandError(f"There is no folder {file.parent}.")
        contents = backup.write(file, progress=self._tell)
        rows, size = sum(contents.tables.values()), file.stat().st_size / 1e6
        self.stdout.write(
            f"{file}: {rows} rows, {contents.artifacts} artefacts, {contents.records} records, {size:.1f} MB. "
            "It holds password hashes and inputs: keep it as safe as those, and SECRET_KEY beside it, not in it."
        )

    def _tell(self, what: str, done: int) -> None:
        if done % 10_000 == 0:
            self.stdout.write(f"  {what}: {done}")
