"""What monitoring is told of the other rooms: their parts of health, and the gauges only they can read."""

from __future__ import annotations

from typing import Any

from django.db.models.signals import post_save

from models_registry import snapshot
from models_registry.models import ModelVersion
from models_registry.routing import Version
from monitoring import health, metrics, working
from monitoring.health import Part, State
from predictions.queued.admission import GATE
from serving_site.celery import app as celery_app

#: A registry not read for this long is told; the last snapshot serves on meanwhile.
STALE_S = 10.0


def connect() -> None:
    """Register every part and gauge; called once when the site's app is ready."""
    health.register("snapshot", registry_snapshot, is_gate=True)
    health.register("models", models, is_gate=True)
    health.register("queue", queue)
    post_save.connect(_forget_retired, sender=ModelVersion, dispatch_uid="forget-retired")
    metrics.provide(metrics.OPEN_PREDICTIONS, open_predictions)
    metrics.provide(metrics.LOADED_MODELS, lambda: {(): snapshot.loaded_count()})
    metrics.provide(metrics.MODEL_MEMORY, model_memory)
    metrics.provide(metrics.VERSION_CIRCUIT, version_circuits)
    metrics.provide(metrics.CACHE_BYTES, lambda: {(): snapshot.answers().octets})
    metrics.provide(metrics.SNAPSHOT_AGE, snapshot_age)
    metrics.provide(metrics.PART_OK, parts)
    metrics.provide(metrics.WORKER_THREADS, working.shown)


def registry_snapshot() -> Part:
    age = snapshot.age()
    if age == float("inf"):
        return Part(State.DOWN, "the registry was not read yet")
    if age > STALE_S:
        return Part(State.DEGRADED, f"the registry was last read {age:.0f} s ago; the snapshot of then serves")
    return Part(State.OK, f"read {age:.1f} s ago")


def models() -> Part:
    """Every version that an alias points at is loaded here, or cannot be, or finds no room before its first call."""
    if snapshot.age() == float("inf"):
        return Part(State.DOWN, "the registry was not read yet")
    broken = snapshot.unloadable()
    cold = [version for version in _aliased() if not snapshot.is_warm(version)]
    failed = [version for version in cold if version.id in broken]
    if failed:
        reasons = (f"{version.model} version {version.number}: {broken[version.id]}" for version in failed)
        return Part(State.DEGRADED, "; ".join(reasons)[:500])
    awaited = [version for version in cold if snapshot.is_awaited(version)]
    if awaited:
        return Part(State.DOWN, f"{len(awaited)} versions are being loaded")
    if cold:
        return Part(State.OK, f"{snapshot.loaded_count()} versions are loaded, {len(cold)} are when they are asked for")
    return Part(State.OK, f"{snapshot.loaded_count()} versions are loaded")


def queue() -> Part:
    """The broker takes connections; predictions are accepted without it, and wait."""
    with celery_app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=0, timeout=1)
        return Part(State.OK, connection.transport_cls or "")


def open_predictions() -> dict[tuple[str, ...], float]:
    projects = {project.pk: name for name, project in snapshot.current().projects.items()}
    return {
        (projects[project], model): count
        for (project, model), count in GATE.open_by_model().items()
        if project in projects
    }


def model_memory() -> dict[tuple[str, ...], float]:
    return {
        (version.project, version.model, str(version.number)): snapshot.predictor(version, wait=0).memory_bytes()
        for version in snapshot.current().versions.values()
        if snapshot.is_warm(version)
    }


def version_circuits() -> dict[tuple[str, ...], float]:
    """Of native versions loaded here, whether their process is asked."""
    versions = snapshot.current().versions
    return {
        (version.project, version.model, str(version.number)): circuit.value
        for identifier, circuit in snapshot.circuits().items()
        if (version := versions.get(identifier)) is not None
    }


def snapshot_age() -> dict[tuple[str, ...], float]:
    age = snapshot.age()
    return {} if age == float("inf") else {(): age}


def parts() -> dict[tuple[str, ...], float]:
    return {(name,): float(is_ok) for name, is_ok in health.states().items()}


def _forget_retired(instance: ModelVersion, **_: Any) -> None:
    """Labels name versions that can answer; a retired one's series end with it."""
    if instance.status == ModelVersion.Status.RETIRED:
        metrics.forget((instance.model.project.name, instance.model.name, str(instance.number)))


def _aliased() -> list[Version]:
    entries = snapshot.current().entries.values()
    return [
        entry.versions[number]
        for entry in entries
        for number in set(entry.aliases.values())
        if number in entry.versions
    ]
