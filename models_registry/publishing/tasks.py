"""Celery's side of publishing: a thin interface to `publishing.publish`."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from celery import Task, shared_task

from models_registry.publishing import publish
from models_registry.publishing.report import STEPS


@shared_task(name="models_registry.publish_version", bind=True, ignore_result=False)
def publish_version(self: Task[Any, Any], version_id: str) -> dict[str, Any]:
    """Publish one version; the state tells the step, the result how it ended."""

    def progress(step: str) -> None:
        meta = {"step": step, "number": STEPS.index(step) + 1, "steps": len(STEPS)}
        self.update_state(state="PROGRESS", meta=meta)

    version = publish(UUID(version_id), progress)
    return {"version": str(version.pk), "number": version.number, "status": version.status, "reason": version.reason}
