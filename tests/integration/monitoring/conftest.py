"""Two projects with records, and clients that knock with keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from models_registry import snapshot
from models_registry.models import ApiKey, Project
from monitoring.records import Record
from monitoring.stores import open_store
from monitoring.stores.base import Outcome
from tests.contracts.record_store import a_record


@dataclass
class Watched:
    """Who takes part: `ours` is the project asked for, `theirs` is not ours."""

    ours: Project
    theirs: Project

    def key(self, *scopes: str, project: Project | None = None, **limits: Any) -> Client:
        _, secret = ApiKey.issue(project or self.ours, "test", scopes=scopes, **limits)
        snapshot.refresh(wait=0)
        return Client(headers={"authorization": f"Bearer {secret}"})

    def person(self) -> Client:
        client = Client()
        client.force_login(User.objects.create_superuser("person", password="x"))
        return client

    def keep(self, **fields: Any) -> Record:
        record = a_record(**{"project": self.ours.name, **fields})
        assert open_store().create([record]) == [Outcome.STORED]
        return record


@pytest.fixture
def watched(db) -> Watched:
    return Watched(Project.objects.create(name="ours"), Project.objects.create(name="theirs"))
