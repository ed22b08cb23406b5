"""A row whose version cannot be loaded ends soon; one whose store is only away waits; a pinned version always runs."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings as configured
from django.utils import timezone

from models_registry import artifacts, snapshot
from models_registry.models import ModelVersion
from predictions.models import Prediction
from predictions.queued import execution
from tests import cast
from tests.integration.queued import rows

MAX_ATTEMPTS = configured.SERVING["MAX_ATTEMPTS"]


@pytest.fixture
def pinned(door: Any, register: Any) -> tuple[ModelVersion, UUID]:
    """A version that is not loaded here yet, and an accepted prediction of it."""
    version = register("adder", cast.adder(4), alias=None)
    body = {"model": "adder", "version": "1", "input": {"instances": [[1, 2]]}}
    _, accepted = door.post("/v1/predictions", body)
    return version, UUID(accepted["id"])


def tried(identifier: UUID) -> Prediction:
    execution.run([identifier])
    return Prediction.objects.get(id=identifier)


def missing(version: ModelVersion) -> None:
    artifacts.local_path(version.digest).unlink()


def corrupt(version: ModelVersion) -> None:
    path = artifacts.local_path(version.digest)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"x")


def removed(version: ModelVersion) -> None:
    ModelVersion.objects.filter(pk=version.pk).delete()
    snapshot.refresh()


@pytest.mark.parametrize("damage", [missing, corrupt, removed])
def test_a_version_that_cannot_be_loaded_fails_its_predictions_after_a_few_tries(damage, pinned, door):
    version, identifier = pinned
    damage(version)
    for attempt in range(1, MAX_ATTEMPTS):
        row = tried(identifier)
        assert (row.status, row.attempts, row.fence) == ("starting", attempt, None)
        assert row.next_send_at > timezone.now()
    row = tried(identifier)
    assert (row.status, row.error_code) == ("failed", "model_unavailable")
    _, shown = door.get(f"/v1/predictions/{identifier}")
    assert shown["status"] == "failed"
    assert "version 1 of adder" in shown["error"]


def test_a_prediction_waits_while_the_store_of_its_version_is_away(pinned, settings, tmp_path):
    _, identifier = pinned
    store, settings.ARTIFACT_URL = settings.ARTIFACT_URL, str(tmp_path / "not mounted")
    for _ in range(2 * MAX_ATTEMPTS):
        row = tried(identifier)
        assert (row.status, row.attempts) == ("starting", 0)
        assert row.next_send_at > timezone.now()
    settings.ARTIFACT_URL = store
    snapshot._holder.loaded.broken.clear()  # its pause is over
    assert tried(identifier).status == "succeeded"


def test_a_prediction_runs_on_its_version_although_that_was_retired_in_the_same_instant(pinned):
    version, identifier = pinned
    ModelVersion.objects.filter(pk=version.pk).update(status="retired", retired_at=timezone.now())
    snapshot.refresh()
    assert version.pk not in snapshot.current().versions
    row = tried(identifier)
    assert (row.status, bytes(row.output or b"")) == ("succeeded", b'{"value":[3.0],"version":[4]}')


def test_rows_of_an_unknown_version_end_beside_those_that_run(pinned):
    _, good = pinned
    [bad] = rows.accept(version_id=uuid4())
    for _ in range(MAX_ATTEMPTS):
        execution.run([good, bad])
    assert (rows.status(good), rows.status(bad)) == ("succeeded", "failed")
