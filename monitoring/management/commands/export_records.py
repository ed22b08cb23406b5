"""`manage.py export_records FILE`: records into a file, or to standard output, with a bounded number in memory."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import BaseCommand, CommandError, CommandParser

from monitoring import exports, formats, stores
from monitoring.api.errors import InvalidParameters
from monitoring.stores.base import StoreUnavailable


class Command(BaseCommand):
    help = "Export the records of a project as JSON lines, CSV or Parquet, by the file's ending or --format."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", help="where to; - is standard output")
        parser.add_argument("--project", default="demo", help="name of the project (default demo)")
        parser.add_argument("--format", choices=formats.FORMATS, help="default: by the file's ending")
        parser.add_argument("--where", default="", help="conditions of /api/records: 'model=iris&status=failed'")

    def handle(self, *, file: str, project: str, format: str | None, where: str, **_: Any) -> None:
        form = format or Path(file).suffix.removeprefix(".")
        if form not in formats.FORMATS:
            raise CommandError(f"say --format, one of {', '.join(formats.FORMATS)}", returncode=2)
        try:
            query = exports.query_of(project, where)
            store = stores.open_store()
            found = self._counted(store.stream(query), store.count(query))
            if file == "-":
                self._write(sys.stdout.buffer, formats.pieces(found, form))
            else:
                unfinished = Path(f"{file}.part")
                with unfinished.open("wb") as out:
                    self._write(out, formats.pieces(found, form))
                unfinished.replace(file)
        except InvalidParameters as error:
            raise CommandError(str(error.detail), returncode=1) from error
        except (StoreUnavailable, OSError) as error:
            raise CommandError(str(error), returncode=1) from error

    def _write(self, out: BinaryIO, pieces: Iterator[bytes]) -> None:
        for piece in pieces:
            out.write(piece)

    def _counted(self, found: Iterator[dict[str, Any]], total: int) -> Iterator[dict[str, Any]]:
        told, done = time.monotonic(), 0
        for document in found:
            done += 1
            if time.monotonic() - told > 1:
                told = time.monotonic()
                self.stderr.write(f"{done:,} of about {total:,} records")
            yield document
        self.stderr.write(f"{done:,} records")
