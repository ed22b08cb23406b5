"""What the snapshot is made of: keys, projects and ready versions, read from the registry's rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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

#: Rows of versions that are read at once: a report may be large.
_AT_ONCE = 200

#: What a model says of all its versions; read as plain values, because a thousand objects take a tenth of a second.
_SAID = ("project__name", "name", "hard_limit_s", "pool", "open_limit", "cache_ttl_s", "privacy")
_Said = tuple[Any, ...]


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
    """Everything at once, for who reads it once."""
    return Reader().read()


class Reader:
    """Reads everything the doors need. Versions are immutable, so each is read and parsed once: with a thousand of
    them that is nearly all of the work."""

    def __init__(self) -> None:
        self._parsed: dict[UUID, tuple[_Said, routing.Version]] = {}

    def read(self) -> Registry:
        """The revision is read first, so a change meanwhile is noticed next time."""
        with transaction.atomic():
            number = revision()
            projects = {project.name: project for project in Project.objects.all()}
            keys = tuple(_key(row) for row in ApiKey.objects.filter(revoked_at=None).select_related("project"))
            return Registry(number, keys, projects, self._entries())

    def _entries(self) -> dict[tuple[str, str], routing.Entry]:
        models = {row[0]: row[1:] for row in RegisteredModel.objects.order_by("pk").values_list("pk", *_SAID)}
        versions = self._versions(models)
        aliases: dict[int, dict[str, int]] = {}
        for model_id, name, number in Alias.objects.filter(model__is_served=True).values_list(
            "model_id", "name", "version__number"
        ):
            aliases.setdefault(model_id, {})[name] = number
        return {
            (project, name): routing.Entry(project, name, versions.get(pk, {}), aliases.get(pk, {}))
            for pk, (project, name, *_) in models.items()
        }

    def _versions(self, models: Mapping[int, _Said]) -> dict[int, dict[int, routing.Version]]:
        ready = ModelVersion.objects.filter(status=ModelVersion.Status.READY, model__is_served=True)
        listed = dict(ready.order_by("model_id", "number").values_list("pk", "model_id"))
        known = {pk: parsed for pk, parsed in self._parsed.items() if pk in listed}
        unknown = [pk for pk in listed if pk not in known]
        for start in range(0, len(unknown), _AT_ONCE):
            rows = ModelVersion.objects.filter(pk__in=unknown[start : start + _AT_ONCE])
            known |= {row.pk: (_said_by(row.model), as_version(row)) for row in rows.select_related("model__project")}
        found: dict[int, dict[int, routing.Version]] = {}
        for pk, model_id in listed.items():
            if pk not in known or model_id not in models:
                continue  # gone since the rows were listed
            said, version = known[pk]
            if said != models[model_id]:
                version = replace(version, **_model_fields(models[model_id]))
                known[pk] = models[model_id], version
            found.setdefault(model_id, {})[version.number] = version
        self._parsed = known
        return found


def _said_by(model: RegisteredModel) -> _Said:
    own = (getattr(model, name) for name in _SAID[1:])
    return (model.project.name, *own)


def _model_fields(said: _Said) -> dict[str, Any]:
    """What a model says of its versions, as they carry it."""
    project, model, hard_limit_s, pool, open_limit, cache_ttl_s, privacy = said
    return {
        "project": project,
        "model": model,
        "hard_limit_s": hard_limit_s,
        "pool": pool,
        "open_limit": open_limit,
        # A cache would hold what a privacy says nothing may.
        "cache_ttl_s": 0.0 if privacy else cache_ttl_s,
        "privacy": tuple(sorted(privacy.items())),
    }


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
        model_id=row.model_id,
        number=row.number,
        digest=row.digest,
        runtime=row.runtime,
        signature=row.parsed_signature(),
        served_digest=row.served_digest or row.digest,
        row_cost_s=_costs(row.report),
        missing_text=row.report.get("missing_text", ""),
        format=row.format,
        platform=_PLATFORMS.get((row.runtime, row.format), f"{row.runtime}_{row.format}"),
        memory_bytes=int(row.report.get("memory_bytes") or 0),
        **_model_fields(_said_by(row.model)),
    )


def _costs(report: Mapping[str, Any]) -> tuple[float, float, float]:
    """Seconds for 1, 8 and 64 rows as publishing measured them; 0 where it did not."""
    measured = report.get("row_cost_s") or (0.0, 0.0, 0.0)
    one, eight, many = (float(seconds) for seconds in measured)
    return one, eight, many
