"""`manage.py doctor`: it sees what is wrong, says how to mend it, and stays quiet about what is well."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.utils import timezone

from models_registry import artifacts
from models_registry.models import ApiKey, Project
from predictions.models import Prediction
from serving_site import doctor
from serving_site.doctor import Finding, Grade
from tests import cast

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def deployment(settings: Any, tmp_path: Path) -> None:
    settings.ARTIFACT_URL = str(tmp_path / "artifacts")
    settings.SPOOL_DIR = tmp_path / "spool"


def found(about: str) -> list[Finding]:
    return [finding for finding in doctor.examine() if finding.about == about]


def test_what_is_well_is_fine() -> None:
    cast.register("demo", "adder", cast.adder())
    ApiKey.issue(Project.objects.get(), "test", scopes=["read"])
    findings = list(doctor.examine())
    assert {finding.about for finding in findings} >= set(doctor.EXAMINATIONS)
    assert [finding for finding in findings if finding.grade is Grade.BAD] == []


def test_an_artefact_that_is_gone_is_bad_and_names_the_way_out() -> None:
    version = cast.register("demo", "adder", cast.adder())
    artifacts.local_path(version.served_digest or version.digest).unlink()
    (finding,) = [finding for finding in found("models") if finding.grade is Grade.BAD]
    assert finding.what.startswith("adder@champion: ")
    assert "roll_back_alias" in finding.mend


def test_a_deployment_without_a_key_is_odd() -> None:
    assert [finding.grade for finding in found("models") if "API key" in finding.what] == [Grade.ODD]


def test_what_no_examination_expected_is_a_finding(settings: Any) -> None:
    settings.RECORD_STORE = "nowhere.at.all"
    (finding,) = found("record store")
    assert finding.grade is Grade.BAD
    assert "nowhere" in finding.what


def test_programs_get_the_worst_grade_and_people_a_status(settings: Any) -> None:
    settings.RECORD_STORE = "nowhere.at.all"
    said = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("doctor", json=True, stdout=said)
    assert ended.value.code == 1
    shown = json.loads(said.getvalue())
    assert shown["grade"] == "bad"
    assert {"about", "grade", "what", "mend"} == set(shown["findings"][0])


def test_an_open_prediction_that_is_old_is_odd() -> None:
    long_ago = timezone.now() - timedelta(seconds=doctor.LATE_S + 60)
    Prediction.objects.create(
        project_id=1,
        project="demo",
        model="adder",
        version=1,
        version_id=uuid4(),
        digest="d" * 64,
        route="version 1",
        pool="default",
        rows=1,
        input=b"{}",
        accepted_at=long_ago,
        deadline_at=long_ago,
        next_send_at=long_ago,
    )
    assert next(finding.grade for finding in found("ledger")) is Grade.ODD
