from __future__ import annotations

from typing import TYPE_CHECKING

from django.apps import AppConfig

if TYPE_CHECKING:
    from models_registry.models import ModelVersion


class PredictionsConfig(AppConfig):
    name = "predictions"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from models_registry.models import version

        version.blockers.append(_open_predictions)


def _open_predictions(version: ModelVersion) -> str | None:
    """Why a version may not be retired yet: an accepted prediction is pinned to it."""
    from predictions.models import Prediction

    unfinished = (Prediction.Status.STARTING, Prediction.Status.PROCESSING)
    # `recorded_at IS NULL` is true of every open row and lets the partial index answer.
    rows = Prediction.objects.filter(recorded_at__isnull=True, version_id=version.pk, status__in=unfinished)
    return f"version {version.number} still has open predictions" if rows.exists() else None
