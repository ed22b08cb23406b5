"""Publish a model file from the command line: the steps of an upload, run here and shown."""

from __future__ import annotations

import io
import json
import shutil
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from models_registry import errors, publishing
from models_registry.models import ModelVersion, Project, RegisteredModel
from models_registry.publishing.report import STEPS


class Command(BaseCommand):
    help = "Check, compile, compare and measure a .skops or .onnx file, and make it a version of a model."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", type=Path, help="The .skops or .onnx file.")
        parser.add_argument("--name", required=True, help="The model; it is registered if there is none of that name.")
        parser.add_argument("--project", default="demo")
        parser.add_argument("--sample", type=Path, help="CSV of rows on which compiled and native model are compared.")
        parser.add_argument("--examples", type=Path, help='JSON list of {"instance": …, "output": {…}} that must hold.')
        parser.add_argument("--alias", help="Point this alias at the version when it is ready, e.g. champion.")
        parser.add_argument("--why", default="", help="The reason, kept with the change of the alias.")
        parser.add_argument("--json", action="store_true", help="Print the result as JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            version = self._publish(options)
        except errors.DomainError as error:
            raise CommandError(error.message) from error
        except OSError as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(_facts(version), indent=2))
        else:
            self.stdout.write(_rendered(_table(version)))
        if version.status != ModelVersion.Status.READY:
            raise CommandError(f"version {version.number} is {version.status}: {version.reason}")

    def _publish(self, options: dict[str, Any]) -> ModelVersion:
        project = Project.objects.filter(name=options["project"]).first()
        if project is None:
            raise errors.NotFound(f"there is no project {options['project']!r}")
        examples = json.loads(options["examples"].read_text()) if options["examples"] else None
        model = RegisteredModel.objects.filter(project=project, name=options["name"]).first()
        model = model or RegisteredModel.register(project, options["name"])
        try:
            with options["path"].open("rb") as file:
                version = publishing.submit(
                    model,
                    file,
                    filename=options["path"].name,
                    sample=options["sample"].read_bytes() if options["sample"] else None,
                    examples=examples,
                    alias=options["alias"],
                    who="command line",
                    why=options["why"],
                    enqueue=False,
                )
        except (errors.DomainError, OSError):
            model.discard_if_empty()
            raise
        return _with_progress(version)


def _with_progress(version: ModelVersion) -> ModelVersion:
    """Run the steps under a progress display on the error stream, so that the result alone is on the output."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(f"{version.model} {version.number}", total=len(STEPS))
        return publishing.publish(
            version.pk, lambda step: shown.update(task, advance=1, description=f"{version.model}: {step}")
        )


def _facts(version: ModelVersion) -> dict[str, Any]:
    return {
        "id": str(version.pk),
        "model": str(version.model),
        "number": version.number,
        "status": version.status,
        "reason": version.reason,
        "runtime": version.runtime,
        "digest": version.digest,
        "report": version.report,
    }


def _rendered(table: Table) -> str:
    console = Console(file=io.StringIO(), width=shutil.get_terminal_size((120, 24)).columns)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def _table(version: ModelVersion) -> Table:
    title = f"{version.model} version {version.number}: {version.status} {version.runtime}".rstrip()
    table = Table("step", "outcome", "seconds", "what it found", title=title, title_justify="left")
    for step in version.report.get("steps", []):
        table.add_row(step["name"], step["outcome"], f"{step['seconds']:.2f}", step["detail"])
    return table
