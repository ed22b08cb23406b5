"""The registry's app: every change of a row that the doors read counts up the revision, in its own transaction."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_delete, post_save


class ModelsRegistryConfig(AppConfig):
    name = "models_registry"
    verbose_name = "Registry"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.conf import settings

        from models_registry import artifacts, models
        from models_registry.runtime import loading

        loading.configure(locate=artifacts.local_path, memory_limit=settings.SERVING["CHILD_MEMORY_LIMIT"])
        for row in (models.Project, models.ApiKey, models.RegisteredModel, models.ModelVersion, models.Alias):
            post_save.connect(_count, sender=row, dispatch_uid=f"revision-save-{row.__name__}")
            post_delete.connect(_count, sender=row, dispatch_uid=f"revision-delete-{row.__name__}")


#: Fields that no door reads: saving only these is no change of the registry.
_UNSEEN = {"last_used_at", "progress", "task_id"}


def _count(update_fields: frozenset[str] | None = None, **_: Any) -> None:
    from models_registry.models import RegistryRevision

    if update_fields and set(update_fields) <= _UNSEEN:
        return
    RegistryRevision.bump()
