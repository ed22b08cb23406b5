"""What the snapshot is made of: keys, projects and ready versions, read from the registry's rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import transaction

from models_registry import routing
from models_registry.models import Alias, ApiKey, ModelVersion, Project, RegisteredModel, RegistryRevision
from models_registry.principals import Principal

#: Platform names of the Open Inference Protocol, `<project>_<format>`, by (runtime, format).
_PLATFORMS = {
    ("onnx", "onnx"): "onnx_onnxv1",
    ("onnx", "skops"): "sklearn_onnxv1",
    ("native", "skops"): "sklearn_skops",
}


@dataclass(frozen=True, slots=True)
class Key:
    """A key that is not revoked; `expires_at` in seconds since the epoch, infinite when it never ends."""

    digest: str
    principal: Principal
    expires_at: float


@dataclass(frozen=True, slots=True)
class Registry:
    """The rows of one moment. `aliases` here say what is wanted, not yet what is warm."""

    revision: int = -1
    keys: tuple[Key, ...] = ()
    projects: Mapping[str, Project] = field(default_factory=dict)
    entries: Mapping[tuple[str, str], routing.Entry] = field(default_factory=dict)


def revision() -> int:
    """The number of the registry's last change: one row, one cheap query."""
    return RegistryRevision.current()


def registry() -> Registry:
    """Read everything the doors need. The revision is read first, so a change meanwhile is noticed next time."""
    with transaction.atomic():
        number = revision()
        projects = {project.name: project for project in Project.objects.all()}
        keys = tuple(_key(row) for row in ApiKey.objects.filter(revoked_at=None).select_related("project"))
        return Registry(number, keys, projects, _entries())


def _key(row: ApiKey) -> Key:
    names = row.model_names
    principal = Principal(
        project_id=row.project_id,
        project=row.project.name,
        key=row.prefix,
        scopes=frozenset(row.scopes),
        models=frozenset(names) if names else None,
        open_limit=row.project.open_limit,
    )
    return Key(row.digest, principal, row.expires_at.timestamp() if row.expires_at else float("inf"))


def _entries() -> dict[tuple[str, str], routing.Entry]:
    versions: dict[int, dict[int, routing.Version]] = {}
    ready = ModelVersion.objects.filter(status=ModelVersion.Status.READY).select_related("model__project")
    for row in ready.order_by("model_id", "number"):
        versions.setdefault(row.model_id, {})[row.number] = as_version(row)
    aliases: dict[int, dict[str, int]] = {}
    for model_id, name, number in Alias.objects.values_list("model_id", "name", "version__number"):
        aliases.setdefault(model_id, {})[name] = number
    return {
        (model.project.name, model.name): routing.Entry(
            model.project.name, model.name, versions.get(model.pk, {}), aliases.get(model.pk, {})
        )
        for model in RegisteredModel.objects.select_related("project")
    }


def pinned(identifier: UUID) -> routing.Version | None:
    """The version that an accepted prediction is pinned to, also one that is retired by now; None when it is gone."""
    served = [ModelVersion.Status.READY, ModelVersion.Status.RETIRED]
    row = ModelVersion.objects.filter(pk=identifier, status__in=served).select_related("model__project").first()
    return as_version(row) if row is not None else None


def as_version(row: ModelVersion) -> routing.Version:
    """One row as the doors and the runtimes see it."""
    return routing.Version(
        id=row.pk,
        project_id=row.model.project_id,
        project=row.model.project.name,
        model_id=row.model_id,
        model=row.model.name,
        number=row.number,
        digest=row.digest,
        runtime=row.runtime,
        signature=row.parsed_signature(),
        served_digest=row.served_digest or row.digest,
        hard_limit_s=row.model.hard_limit_s,
        pool=row.model.pool,
        open_limit=row.model.open_limit,
        row_cost_s=_costs(row.report),
        missing_text=row.report.get("missing_text", ""),
        format=row.format,
        platform=_PLATFORMS.get((row.runtime, row.format), f"{row.runtime}_{row.format}"),
        cache_ttl_s=row.model.cache_ttl_s,
        memory_bytes=int(row.report.get("memory_bytes") or 0),
    )


def _costs(report: Mapping[str, Any]) -> tuple[float, float, float]:
    """Seconds for 1, 8 and 64 rows as publishing measured them; 0 where it did not."""
    measured = report.get("row_cost_s") or (0.0, 0.0, 0.0)
    one, eight, many = (float(seconds) for seconds in measured)
    return one, eight, many
