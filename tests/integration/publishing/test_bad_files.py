"""No bad file becomes a version that answers, none is unpickled, none reads outside, and each refusal says why."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from models_registry import errors, publishing
from models_registry.models import ModelVersion, Project, RegisteredModel
from models_registry.publishing import publication
from models_registry.runtime.sandbox import Sandbox
from tests.integration.publishing import evil, evil_graphs

SECRET = "canary-in-a-coal-mine"
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def model(settings: Any) -> RegisteredModel:
    settings.SERVING = {**settings.SERVING, "PUBLISH_LIMIT_S": 10.0}
    project, _ = Project.objects.get_or_create(name="demo")
    return RegisteredModel.register(project, "bad")


@pytest.fixture
def sandbox(model: RegisteredModel) -> Iterator[Sandbox]:
    with closing(publication.open_sandbox()) as opened:
        yield opened


def refused(model: RegisteredModel, sandbox: Sandbox, name: str, content: bytes) -> str | None:
    """The reason for which a file was refused, at once or by the steps of publishing; None where it was taken."""
    try:
        version = publishing.submit(model, content, filename=f"{name[:50]}.onnx", who="tests", enqueue=False)
    except errors.DomainError as error:
        return error.message
    version = publishing.publish(version.pk, sandbox=sandbox)
    return None if version.status == ModelVersion.Status.READY else str(version.reason)


def good_skops() -> bytes:
    from sklearn.linear_model import LogisticRegression
    from skops import io

    return bytes(io.dumps(LogisticRegression().fit([[0.0, 1.0], [1.0, 0.0]], [0, 1])))


def test_pickles_are_never_opened_and_the_refusal_says_how_to_export(model: RegisteredModel, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    found = list(evil.pickles(canary))
    assert len(found) > 20
    for name, content in found:
        if name in ("pickle after an ONNX head", "skops with an object array"):
            continue  # what its first bytes say is not refused by them: see below
        with pytest.raises(errors.FormatNotAllowed) as error:
            publishing.submit(model, content, filename="model.skops", who="tests", enqueue=False)
        assert "skops.io.dump" in error.value.message or "zip" in error.value.message, name
    assert not canary.exists()
    assert not ModelVersion.objects.exists()


def test_what_hides_behind_a_good_beginning_is_rejected_unopened(
    model: RegisteredModel, sandbox: Sandbox, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    for name, content in evil.pickles(canary):
        assert refused(model, sandbox, name, content), name
    assert not canary.exists()


def test_files_of_other_kinds_are_refused(model: RegisteredModel) -> None:
    for name, content in evil.others():
        with pytest.raises(errors.DomainError) as error:
            publishing.submit(model, content, filename=f"{name}.onnx", who="tests", enqueue=False)
        assert error.value.code in ("format_not_allowed", "invalid_input"), name


def test_archives_that_lie_are_refused(model: RegisteredModel, sandbox: Sandbox, tmp_path: Path) -> None:
    good = good_skops()
    found = list(evil.archives(good))
    assert len(found) >= 30
    taken = []
    for name, content in found:
        started = time.perf_counter()
        if not refused(model, sandbox, name, content):
            taken.append(name)
        assert time.perf_counter() - started < 30, name  # long before PUBLISH_LIMIT_S
    assert taken == []


def test_graphs_that_reach_outside_or_never_end_are_refused(
    model: RegisteredModel, sandbox: Sandbox, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes((SECRET * 100).encode())
    found = list(evil_graphs.graphs(secret))
    assert len(found) >= 25
    taken = []
    for name, content in found:
        reason = refused(model, sandbox, name, content)
        if not reason:
            taken.append(name)
        assert SECRET not in (reason or "")
    assert taken == []
    assert not ModelVersion.objects.filter(status="ready").exists()
