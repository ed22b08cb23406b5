"""The first page of the admin: what is there, what changed, how to ask."""

from __future__ import annotations

import json
import shlex
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from models_registry import examples
from models_registry.models import Alias, ApiKey, DeploymentEvent, ModelVersion, RegisteredModel
from models_registry.routing import CHAMPION
from monitoring import health
from predictions.models import Prediction

#: Counting stops here: a page need not know how many more there are.
_ENOUGH = 1000


def fill(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What `templates/admin/index.html` shows."""
    context["title"] = "Overview"
    context["figures"] = _figures()
    context["recent_versions"] = list(
        ModelVersion.objects.select_related("model__project").defer("report", "signature").order_by("-created_at")[:6]
    )
    context["recent_events"] = list(DeploymentEvent.objects.select_related("model__project")[:6])
    context["curl"] = _curl(request)
    return context


def _figures() -> list[tuple[str, str, str]]:
    now = timezone.now()
    unfinished = (Prediction.Status.STARTING, Prediction.Status.PROCESSING)
    keys = ApiKey.objects.filter(revoked_at__isnull=True).exclude(expires_at__lte=now)
    versions = ModelVersion.objects.filter(status=ModelVersion.Status.READY)
    open_predictions = Prediction.objects.filter(recorded_at__isnull=True, status__in=unfinished)
    return [
        ("Health", health.report()["status"], reverse("watch", args=["status"])),
        ("Models", _count(RegisteredModel.objects.all()), _list("models_registry_registeredmodel")),
        ("Ready versions", _count(versions), _list("models_registry_modelversion")),
        ("Aliases", _count(Alias.objects.all()), _list("models_registry_alias")),
        ("Valid keys", _count(keys), _list("models_registry_apikey")),
        ("Open predictions", _count(open_predictions), _list("predictions_prediction")),
    ]


def _list(rows: str) -> str:
    return reverse(f"admin:{rows}_changelist")


def _count(rows: Any) -> str:
    found = rows.order_by()[: _ENOUGH + 1].count()
    return f"{_ENOUGH}+" if found > _ENOUGH else str(found)


def _curl(request: HttpRequest) -> str:
    """A line that asks one of the models, as it stands in this database."""
    champion = Alias.objects.filter(name=CHAMPION).select_related("version", "model").order_by("pk").first()
    if champion is None or not champion.version.signature:
        return ""
    body = json.dumps(examples.infer_body(champion.version.parsed_signature()))
    url = request.build_absolute_uri(f"/v2/models/{champion.model.name}/infer")
    parts = [
        f"curl {url}",
        '-H "Authorization: Bearer $KEY"',
        "-H 'Content-Type: application/json'",
        f"-d {shlex.quote(body)}",
    ]
    return " \\\n  ".join(parts)
