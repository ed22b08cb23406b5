"""Rows of the ledger made directly, for tests of its verbs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.utils import timezone

from monitoring.ids import mint
from predictions.models import Prediction
from predictions.queued import ledger
from predictions.queued.ledger import Accepted, Draft

VERSION_ID = uuid4()


def draft(**fields: Any) -> Draft:
    made = {
        "id": mint(),
        "project_id": 1,
        "project": "demo",
        "key": "sbk_test",
        "request_id": "",
        "model": "adder",
        "version": 1,
        "version_id": VERSION_ID,
        "digest": "d" * 64,
        "route": "alias champion",
        "pool": "default",
        "priority": "standard",
        "rows": 1,
        "input": b'{"instances":[[1,2]]}',
        "deadline_s": 60.0,
    }
    return Draft(**(made | fields))


def accept(count: int = 1, **fields: Any) -> list[UUID]:
    """Accept so many rows; their ids, oldest first."""
    found = ledger.accept([draft(**fields) for _ in range(count)])
    assert all(isinstance(one, Accepted) for one in found), found
    return [one.id for one in found]


def claim(ids: list[UUID], **limits: Any) -> list[ledger.Claimed]:
    return ledger.claim(ids, **({"lease_s": 15.0, "max_attempts": 3} | limits))


def expire_lease(ids: list[UUID]) -> None:
    Prediction.objects.filter(id__in=ids).update(lease_until=timezone.now() - timedelta(seconds=1))


def status(identifier: UUID) -> str:
    return Prediction.objects.get(id=identifier).status
