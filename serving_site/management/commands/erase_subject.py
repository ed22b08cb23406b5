"""`manage.py erase_subject SUBJECT`: delete what is kept of a subject, and print the receipt."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from models_registry.errors import DomainError
from models_registry.management.registry import find_project
from monitoring.api.asked_shapes import ErasureShape
from monitoring.command import VerbCommand, who
from serving_site import erasure


class Command(VerbCommand):
    help = "Erase a subject (as clients name it in X-Subject-ID): ledger, hot results, spool, records, exports."
    refusals = (DomainError,)

    def options(self, parser: CommandParser) -> None:
        parser.add_argument("subject")
        parser.add_argument("--project", default="demo", help="name of the project (default demo)")
        parser.add_argument("--why", default="", help="kept in the receipt")

    def work(self, *, subject: str, project: str, why: str, **_: Any) -> Any:
        order = erasure.erase(find_project(project).name, subject, who=who(), why=why)
        return dict(ErasureShape(order).data)
