"""`manage.py doctor`: what is wrong with this deployment and how to mend it. Exit status 1 when something is bad."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from serving_site import doctor
from serving_site.doctor import Finding, Grade

SIGNS = {Grade.FINE: "✓", Grade.ODD: "?", Grade.BAD: "✗"}
STYLES = {Grade.FINE: "SUCCESS", Grade.ODD: "WARNING", Grade.BAD: "ERROR"}


class Command(BaseCommand):
    help = "Examine settings, services, ledger, models and spool; say what is wrong and how to mend it."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        findings = []
        for finding in doctor.examine():
            findings.append(finding)
            if not options["json"]:
                self._tell(finding)
        if options["json"]:
            self.stdout.write(json.dumps(doctor.summary(findings), indent=2, ensure_ascii=False))
        if any(finding.grade is Grade.BAD for finding in findings):
            sys.exit(1)

    def _tell(self, finding: Finding) -> None:
        paint = getattr(self.style, STYLES[finding.grade])
        self.stdout.write(f"{paint(SIGNS[finding.grade])} {finding.about}: {finding.what}")
        if finding.mend:
            self.stdout.write(f"    → {finding.mend}")
        self.stdout.flush()
