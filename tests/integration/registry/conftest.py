"""Two projects, each with a model, and everyone who may knock: `ours` is asked for, `theirs` is not ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from models_registry import snapshot
from models_registry.models import Alias, ApiKey, ModelVersion, Project, RegisteredModel

SIGNATURE = {
    "inputs": [{"name": "input", "datatype": "FP64", "shape": [-1, 4], "columns": ["a", "b", "c", "d"]}],
    "outputs": [{"name": "label", "datatype": "INT64", "shape": [-1, 1]}],
    "classes": [0, 1],
}


def add_version(model: RegisteredModel, number: int, status: str = "ready") -> ModelVersion:
    """A version whose artefact nobody will open."""
    return ModelVersion.objects.create(
        model=model,
        number=number,
        digest=f"{model.pk:032x}{number:032x}",
        status=status,
        runtime="onnx",
        format="onnx",
        filename=f"model-{number}.onnx",
        signature=SIGNATURE,
    )


@dataclass
class Cast:
    """Who takes part."""

    ours: Project
    theirs: Project
    iris: RegisteredModel
    secrets: dict[str, str] = field(default_factory=dict)

    def client(self, who: str) -> Client:
        """A client that knocks as this principal; see `principals`."""
        return principals[who](self)

    def key(self, *scopes: str, project: Project | None = None, **limits: Any) -> Client:
        """A client with a fresh key."""
        _, secret = ApiKey.issue(project or self.ours, "test", scopes=scopes, **limits)
        snapshot.refresh(wait=0)
        return bearer(secret)


def bearer(secret: str) -> Client:
    return Client(headers={"authorization": f"Bearer {secret}"})


def _ended(cast: Cast, **fields: Any) -> Client:
    key, secret = ApiKey.issue(cast.ours, "ended", scopes=["read", "publish", "manage"])
    ApiKey.objects.filter(pk=key.pk).update(**fields)
    snapshot.refresh(wait=0)
    return bearer(secret)


def _person(**flags: Any) -> Client:
    client = Client()
    client.force_login(User.objects.create(username="person", **flags))
    return client


ALL = ("predict", "read", "publish", "manage", "metrics")

principals: dict[str, Callable[[Cast], Client]] = {
    "anonymous": lambda cast: Client(),
    "bad token": lambda cast: bearer("sbk_" + "x" * 43),
    "expired": lambda cast: _ended(cast, expires_at=timezone.now() - timedelta(seconds=1)),
    "revoked": lambda cast: _ended(cast, revoked_at=timezone.now()),
    "wrong scope": lambda cast: cast.key("metrics", "predict"),
    "other project": lambda cast: cast.key(*ALL, project=cast.theirs),
    "read": lambda cast: cast.key("read"),
    "publish": lambda cast: cast.key("publish"),
    "manage": lambda cast: cast.key("manage"),
    "visitor": lambda cast: _person(),
    "staff": lambda cast: _person(is_staff=True),
    "superuser": lambda cast: _person(is_staff=True, is_superuser=True),
}


@pytest.fixture
def cast(db: None, settings: Any) -> Cast:
    settings.ANONYMOUS_PROJECT = ""
    ours, theirs = Project.start("ours"), Project.start("theirs")
    iris = RegisteredModel.register(ours, "iris")
    for number in (1, 2, 3):
        add_version(iris, number)
    Alias.point(iris.versions.get(number=1), "champion", who="alice", why="first")
    Alias.point(iris.versions.get(number=2), "champion", who="bob", why="better")
    add_version(RegisteredModel.register(theirs, "secret-model"), 1)
    snapshot.refresh(wait=0)
    return Cast(ours, theirs, iris)
