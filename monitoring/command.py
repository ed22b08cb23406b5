"""What our commands share: the same answer as a table for people or as JSON for scripts, and exit codes.

0: done. 1: refused, with the sentence that says why. 2: not a command line of ours.
"""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError
from rich.console import Console
from rich.table import Table
from rich.text import Text

#: Width of tables where there is no terminal to fit into.
_WIDE = 160


class VerbCommand(BaseCommand):
    """One verb: `options` declares what it takes, `work` does it and answers with plain values."""

    requires_system_checks: list[str] = []
    #: Exceptions that are answers, not faults; each has a `message` or says itself.
    refusals: tuple[type[Exception], ...] = ()
    #: Columns of a table; None takes the fields of the first row.
    columns: Sequence[str] | None = None

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print JSON")
        self.options(parser)

    def options(self, parser: CommandParser) -> None:
        """Declare the options of this verb."""

    if TYPE_CHECKING:
        #: Does it: takes the options by name.
        work: Callable[..., Any]

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            answer = self.work(**options)
        except self.refusals as error:
            raise CommandError(getattr(error, "message", str(error)), returncode=1) from error
        except OperationalError as error:
            raise CommandError(f"The database does not answer: {error}", returncode=1) from error
        if options["json"]:
            self.stdout.write(json.dumps(answer, indent=2, default=str, ensure_ascii=False))
        else:
            self.show(answer)

    def show(self, answer: Any) -> None:
        """Print the answer for people."""
        out: Any = self.stdout
        console = Console(file=out._out, highlight=False)
        if not console.is_terminal:
            console = Console(file=out._out, highlight=False, width=_WIDE)
        if isinstance(answer, Mapping):
            console.print(_facts(answer))
        elif not answer:
            console.print("None.")
        else:
            console.print(_rows(answer, self.columns or list(answer[0])))


def _rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Table:
    table = Table(*[column.replace("_", " ") for column in columns], box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*[Text(_cell(row.get(column))) for column in columns])
    return table


def _facts(facts: Mapping[str, Any]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name.replace("_", " "), Text(_cell(value)))
    return table


def _cell(value: Any) -> str:
    """A value in a few words; what nests deeper is spelled out as JSON."""
    if value is None or value == "" or value in ([], {}):
        return "–"
    if isinstance(value, dict) and not any(isinstance(item, dict | list) for item in value.values()):
        return ", ".join(f"{name} → {item}" for name, item in value.items())
    if isinstance(value, list) and not any(isinstance(item, dict | list) for item in value):
        return ", ".join(map(str, value))
    if isinstance(value, dict | list):
        return json.dumps(value, indent=1, default=str, ensure_ascii=False)
    return str(value)


def who() -> str:
    """The name that events keep for what a command did."""
    try:
        return f"shell {getpass.getuser()}"
    except (KeyError, OSError):
        return "shell"
