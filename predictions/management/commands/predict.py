"""`manage.py predict NAME`: load a version in this process and ask it, without a server."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from models_registry import errors, reading, routing
from models_registry.management.registry import RegistryCommand
from models_registry.runtime import loading
from predictions.protocols import instances, strict_json


class Command(RegistryCommand):
    help = "Predict in this process, without a server and without a record: a look at what a version answers."

    def options(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument(
            "--use", dest="wanted", metavar="VERSION", help="version number or alias (default: champion)"
        )
        given = parser.add_mutually_exclusive_group(required=True)
        given.add_argument("--input", help='JSON: a list of rows, or {"instances": [...]}')
        given.add_argument("--file", help="a .json or .csv file with rows; - reads JSON from standard input")

    def work(
        self, *, project: str, name: str, wanted: str | None, input: str | None, file: str | None, **_: Any
    ) -> Any:
        entry = reading.registry().entries.get((project, name))
        if entry is None:
            raise errors.NotFound(f"model {project}/{name} not found")
        route = routing.choose(entry, wanted)
        rows = _rows(input, file)
        asked = instances.decode(rows, route.version.signature, row_limit=settings.SERVING["ROW_LIMIT"])
        predictor = loading.load(route.version)
        try:
            outputs = predictor.predict(asked.inputs, timeout=route.version.hard_limit_s)
        finally:
            predictor.close()
        answer = instances.encode(outputs, route.version.signature)
        return {"model": f"{project}/{name}", "version": route.version.number, "why": route.reason, "output": answer}


def _rows(given: str | None, file: str | None) -> Any:
    """`{"instances": [...]}` from whichever option was given."""
    if file and file.endswith(".csv"):
        return {"instances": _from_csv(Path(file))}
    body = (given or "").encode() if not file else sys.stdin.buffer.read() if file == "-" else _read(Path(file))
    found = strict_json.loads(body)
    return {"instances": found} if isinstance(found, list) else found


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise errors.InvalidInput(f"cannot read {path}: {error.strerror}") from error


def _from_csv(path: Path) -> list[dict[str, Any]]:
    """Rows by column name; a cell is a number where it reads as one, missing where it is empty."""
    rows = list(csv.DictReader(_read(path).decode(errors="replace").splitlines()))
    for number, row in enumerate(rows):
        if None in row:
            raise errors.InvalidInput(f"row {number} has more cells than the header line has names", row=number)
    return [{name: _cell(cell) for name, cell in row.items()} for row in rows]


def _cell(text: str | None) -> Any:
    if text is None or text == "":
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, int | float) and text != "NaN" else text
