"""`manage.py show_record ID`: the record of one prediction, whole."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.management.base import CommandError, CommandParser

from monitoring import documents
from monitoring.command import VerbCommand
from monitoring.stores import open_store
from monitoring.stores.base import StoreUnavailable


class Command(VerbCommand):
    help = "Show the record of a prediction: who asked what of which version, and what it answered."
    refusals = (StoreUnavailable,)

    def options(self, parser: CommandParser) -> None:
        parser.add_argument("id", type=UUID, help="id of the prediction")
        parser.add_argument("--project", default="demo", help="name of the project (default demo)")

    def work(self, *, project: str, id: UUID, **_: Any) -> Any:
        record = open_store().get(project, id)
        if record is None:
            raise CommandError(f"project {project} has no record {id}", returncode=1)
        return documents.to_document(record)
