"""The queued path with real threads: SQLite in a file, Celery on the memory transport, the cast as models."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery.worker import state as worker_state
from django.core.cache import caches
from django.utils.datastructures import CaseInsensitiveMapping as Headers

from models_registry import snapshot
from models_registry.models import ApiKey, ModelVersion, Project
from monitoring.background import Background
from predictions import queued
from predictions.queued.admission import GATE
from predictions.queued.horizon import HORIZON
from serving_site import memory_transport
from serving_site.celery import CeleryThread
from tests import cast, doors

PROJECT = "demo"


class Door:
    """A client of one project, through the lane where it answers; answers are (status, JSON)."""

    def __init__(self, secret: str, application: Any = None) -> None:
        self._headers = {"Authorization": f"Bearer {secret}", "Host": "testserver"}
        self._application = application or doors.lane()

    def post(self, path: str, body: Any, **headers: str) -> tuple[int, Any]:
        return self.call("POST", path, body, **headers)[:2]

    def get(self, path: str, **headers: str) -> tuple[int, Any]:
        return self.call("GET", path, None, **headers)[:2]

    def call(self, method: str, path: str, body: Any, **headers: str) -> tuple[int, Any, Any]:
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"Content-Type": "application/json", **self._headers, **sent}
        status, answered, content = doors.call(self._application, path, data, sent, method=method)
        return status, json.loads(content), Headers(answered)


@pytest.fixture(autouse=True)
def _clean(transactional_db: None) -> Iterator[None]:
    """Nothing of another test: no hot result, no message, no count."""
    caches["results"].clear()
    for waiting in memory_transport.Channel.queues.values():
        waiting.queue.clear()
    GATE.__init__()  # type: ignore[misc]
    HORIZON.forget()
    yield
    snapshot.close()


@pytest.fixture
def register() -> Callable[..., ModelVersion]:
    """Register members of the cast in the project; afterwards the doors know them."""

    def make(name: str, member: cast.Member, **fields: Any) -> ModelVersion:
        version = cast.register(PROJECT, name, member, **fields)
        snapshot.refresh()
        return version

    return make


@pytest.fixture
def door(db: None) -> Door:
    project, _ = Project.objects.get_or_create(name=PROJECT)
    _, secret = ApiKey.issue(project, "tests", scopes=["predict", "read"])
    snapshot.refresh()
    return Door(secret)


@pytest.fixture(scope="session")
def celery_threads(django_db_setup: None) -> Iterator[list[CeleryThread]]:
    """Celery's own threads, once for the session: stopping them takes seconds."""
    threads = [
        CeleryThread(f"predictions.default.{priority}", concurrency=1)
        for priority in ("interactive", "standard", "bulk")
    ]
    start_again(threads)
    yield threads
    for one in threads:
        one.stop(5)


def start_again(threads: list[CeleryThread]) -> None:
    """Start what does not run: whoever stops one Celery thread stops all of the process."""
    for one in threads:
        one.stop(5)
    worker_state.should_stop = None
    for one in threads:
        one.start()


@pytest.fixture
def workers(celery_threads: list[CeleryThread]) -> Iterator[None]:
    """Everything that runs beside the requests of an embedded server, but the recorder."""
    if worker_state.should_stop is not None or not all(one.runs() for one in celery_threads):
        start_again(celery_threads)
    running: list[Background] = []
    for role in ("web", "worker", "keeper"):
        running += queued.background(role)  # type: ignore[arg-type]
    for one in running:
        one.start()
    yield
    for one in reversed(running):
        one.stop(5)
