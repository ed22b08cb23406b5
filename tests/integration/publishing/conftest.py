"""One child for all publishing tests of a module: importing scikit-learn takes longer than the tests."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from models_registry import publishing
from models_registry.models import ModelVersion, Project, RegisteredModel
from models_registry.publishing import publication
from models_registry.runtime.sandbox import Sandbox
from tests.integration.publishing import models


@pytest.fixture(scope="module")
def child() -> Iterator[Sandbox]:
    with contextlib.closing(publication.open_sandbox()) as sandbox:
        yield sandbox


@pytest.fixture
def trained(child: Sandbox) -> Callable[[str], bytes]:
    """`trained("iris")` is the model of `models._iris` as skops bytes."""
    return lambda kind: child.call(models.train, kind, timeout=60)


@pytest.fixture
def model(db: None) -> RegisteredModel:
    project, _ = Project.objects.get_or_create(name="demo")
    return RegisteredModel.register(project, "subject")


@pytest.fixture
def published(model: RegisteredModel, child: Sandbox) -> Callable[..., ModelVersion]:
    """Submit and publish in the shared child; return the version."""

    def publish(content: bytes, **asked: Any) -> ModelVersion:
        version = publishing.submit(model, content, filename="model", who="alice", enqueue=False, **asked)
        return publishing.publish(version.pk, sandbox=child)

    return publish
