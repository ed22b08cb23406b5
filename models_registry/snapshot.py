"""What the doors read: keys, routes and loaded predictors as one immutable value, rebuilt in the background.

Readers take `current()` and never wait for the database. A change of the registry is noticed within a second; the
old version answers until the new one is warm in this process: load → warm → switch → drain.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import wait as wait_all
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.conf import settings

from models_registry import errors, routing
from models_registry.loaded import Loaded
from models_registry.models import ApiKey, Project
from models_registry.models.access import SCOPES, digest_of
from models_registry.models.deployment import registry_changed
from models_registry.principals import ANONYMOUS_SCOPES, Principal
from models_registry.reading import Reader, Registry, revision
from models_registry.response_cache import ResponseCache
from models_registry.routing import Entry, Route, Version
from models_registry.runtime.predictor import Predictor
from monitoring.background import Background, Ticker
from monitoring.breaker import Circuit

__all__ = ["Principal", "Snapshot", "authenticate", "background", "current", "find", "predictor", "principal_of"]

#: Seconds between two looks at the registry's revision.
INTERVAL_S = 0.25

#: Routes that a snapshot remembers.
_MOST_ROUTES = 10_000

#: Seconds between two writes of `last_used_at`.
USED_INTERVAL_S = 60.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One moment of the registry. `principals` by SHA-256 (hex) of the secret, `entries` by project and name.

    `headers` remembers which principal an `Authorization` header stood for, so that no hash is computed per call, and
    `routes` which version a principal (by the identity of its object, kept beside) got for a name; they die with their
    snapshot, and with them a revoked key and an alias that has moved.
    """

    revision: int = -1
    built_at: float = 0.0
    principals: Mapping[str, Principal] = field(default_factory=dict)
    anonymous: Principal | None = None
    entries: Mapping[tuple[str, str], Entry] = field(default_factory=dict)
    versions: Mapping[UUID, Version] = field(default_factory=dict)
    projects: Mapping[str, Project] = field(default_factory=dict)
    headers: dict[str, Principal] = field(default_factory=dict)
    routes: dict[tuple[int, str, str | None], tuple[Principal, Route]] = field(default_factory=dict)


class Holder:
    """Builds snapshots and swaps them in; one per process."""

    def __init__(self) -> None:
        self.current = Snapshot()
        self.checked_at = 0.0
        self.loads = True
        self.used: dict[tuple[int, str], float] = {}
        self._lock = threading.Lock()
        self._reader = Reader()
        self._registry = Registry()
        self._wanted: list[Version] = []
        self._switched: tuple[Registry, int] = self._registry, -1
        self._next_look = 0.0
        self.ticker = Ticker("snapshot", INTERVAL_S, self.tick)
        self.loaded = Loaded(_load, self.ticker.wake, limit=settings.SERVING["MODEL_MEMORY_LIMIT"])
        self.answers = ResponseCache(
            settings.SERVING["RESPONSE_CACHE_LIMIT"], followers=max(1, settings.SERVING["BLOCKING_THREADS"] // 8)
        )

    def tick(self) -> None:
        """One look: read again what changed, switch what is warm, close what is drained."""
        try:
            self._read()
        finally:
            # Also without a database: a key expires, and a version that became warm takes over.
            self._switch()
            self.loaded.drain()

    def refresh(self, *, wait: float) -> Snapshot:
        """Read everything now and wait up to `wait` seconds until the aliased versions are warm."""
        self._read(always=True)
        wait_all(self._switch(always=True), timeout=wait)
        self._switch(always=True)
        return self.current

    def _read(self, *, always: bool = False) -> None:
        with self._lock:
            if always or revision() != self._registry.revision:
                self._registry = self._reader.read()
                self._wanted = [version for entry in self._registry.entries.values() for version in _aliased(entry)]
                self.current = self._build(self._entries())
            self.checked_at = time.time()

    def _switch(self, *, always: bool = False) -> list[Future[Predictor]]:
        """Load what the aliases want, and swap in a snapshot that answers with what is warm.

        Four times a second with a thousand models: nothing is looked at while nothing has changed.
        """
        with self._lock:
            self.answers.keep(self.loaded.ready)
            rows, generation = self._registry, self.loaded.generation
            is_same = rows is self._switched[0] and generation == self._switched[1]
            if is_same and not always and time.time() < self._next_look:
                return []
            loads = self._load_ahead() if self.loads else []
            entries = self._entries()
            if entries != self.current.entries or time.time() >= self._next_look:
                self.current = self._build(entries)
            serving = [version.id for entry in self.current.entries.values() for version in _aliased(entry)]
            self.loaded.keep([*serving, *(version.id for version in self._wanted)], self.current.versions)
            expiry = min((key.expires_at for key in self._live_keys()), default=float("inf"))
            self._next_look = min(expiry, time.time() + self.loaded.next_retry_s(self._wanted))
            self._switched = rows, generation
        return loads

    def _load_ahead(self) -> list[Future[Predictor]]:
        """What aliases point at, while there is room; what is to take over from a loaded version always."""
        loads = []
        for version in self._wanted:
            if version.id not in self.loaded.ready:
                load = self.loaded.start if self._takes_over(version) else self.loaded.start_ahead
                loads.append(load(version))
        return [load for load in loads if load is not None]

    def _takes_over(self, version: Version) -> bool:
        """Whether an alias is to move to this version from one that answers now."""
        before = self.current.entries.get((version.project, version.model))
        if before is None:
            return False
        return any(one.id != version.id and one.id in self.loaded.ready for one in _aliased(before))

    def _entries(self) -> dict[tuple[str, str], Entry]:
        before = self.current.entries
        return {name: self._warm(entry, before.get(name)) for name, entry in self._registry.entries.items()}

    def _build(self, entries: Mapping[tuple[str, str], Entry]) -> Snapshot:
        rows = self._registry
        return Snapshot(
            revision=rows.revision,
            built_at=time.time(),
            principals={key.digest: key.principal for key in self._live_keys()},
            anonymous=_anonymous(rows.projects.get(settings.ANONYMOUS_PROJECT)),
            entries=entries,
            versions={version.id: version for entry in entries.values() for version in entry.versions.values()},
            projects=rows.projects,
        )

    def _live_keys(self) -> list[Any]:
        now = time.time()
        return [key for key in self._registry.keys if key.expires_at > now]

    def _warm(self, entry: Entry, before: Entry | None) -> Entry:
        """Let an alias whose new version is not warm yet answer with the version that answered before."""
        if before is None or before.aliases == entry.aliases:
            return entry
        aliases = {}
        for alias, number in entry.aliases.items():
            old = before.aliases.get(alias, number)
            cold = number in entry.versions and entry.versions[number].id not in self.loaded.ready
            old_answers = old in entry.versions and entry.versions[old].id in self.loaded.ready
            aliases[alias] = old if cold and old_answers else number
        return Entry(entry.project, entry.name, entry.versions, aliases)

    def write_used(self) -> None:
        """Note when keys were last used; off the path, and without counting as a change of the registry."""
        used, self.used = self.used, {}
        for (project_id, prefix), moment in used.items():
            rows = ApiKey.objects.filter(project_id=project_id, prefix=prefix)
            rows.update(last_used_at=datetime.fromtimestamp(moment, UTC))


def _load(version: Version) -> Predictor:
    # Imported by the loading thread: onnxruntime takes a good part of a second, and commands do not need it.
    from models_registry.runtime import loading

    return loading.load(version)


def _aliased(entry: Entry) -> list[Version]:
    return [entry.versions[number] for number in set(entry.aliases.values()) if number in entry.versions]


def _anonymous(project: Project | None) -> Principal | None:
    if project is None:
        return None
    return Principal(project.pk, project.name, "anonymous", ANONYMOUS_SCOPES, open_limit=project.open_limit)


_holder = Holder()


def current() -> Snapshot:
    """The latest snapshot; never waits."""
    return _holder.current


def age() -> float:
    """Seconds since the registry was last seen; infinite before the first time."""
    return time.time() - _holder.checked_at if _holder.checked_at else float("inf")


def unloadable() -> Mapping[UUID, str]:
    """Versions that could not be loaded in this process, with the reason."""
    return {version: broken.reason for version, broken in list(_holder.loaded.broken.items())}


def is_warm(version: Version) -> bool:
    """Whether the version is loaded in this process."""
    return version.id in _holder.loaded.ready


def circuits() -> dict[UUID, Circuit]:
    """What the circuits of the versions loaded here do with callers; compiled ones have no process that could die."""
    ready = list(_holder.loaded.ready.items())
    return {version: breaker.circuit() for version, one in ready if (breaker := getattr(one, "breaker", None))}


def is_awaited(version: Version) -> bool:
    """Whether the version is loaded without being asked for: there is room for it."""
    return _holder.loaded.has_room(version)


def loaded_count() -> int:
    """How many versions are loaded in this process."""
    return len(_holder.loaded.ready)


def answers() -> ResponseCache:
    """The answers that this process keeps for models with a cache."""
    return _holder.answers


def refresh(*, wait: float = 30.0) -> Snapshot:
    """Rebuild now, and wait until the aliased versions are warm or failed: for tests, commands and start-up."""
    return _holder.refresh(wait=wait)


def background(*, loads: bool = True) -> list[Background]:
    """The threads that keep the snapshot fresh; without `loads` no model is loaded here, only read about."""
    _holder.loads = loads
    registry_changed.connect(_wake, dispatch_uid="snapshot")
    return [_holder.ticker, Ticker("key-use", USED_INTERVAL_S, _holder.write_used)]


def _wake(**_: Any) -> None:
    _holder.ticker.wake()


def close() -> None:
    """Release every loaded version; at the end of the process."""
    _holder.loaded.close()
    _holder.answers.clear()


def authenticate(header: str | None) -> Principal:
    """Who an `Authorization` header stands for; raises `NotAuthenticated`, or `Unavailable` before the first read."""
    now = current()
    found = now.headers.get(header) if header else now.anonymous
    if found is None and header:
        found = _look_up(now, header)
    if found is None:
        if header and age() == float("inf"):
            raise errors.Unavailable("the registry was not read yet", retry_after=1)
        hint = "the key is unknown, revoked or expired" if header else "send a key: Authorization: Bearer <key>"
        raise errors.NotAuthenticated(hint)
    if header:
        _holder.used[found.project_id, found.key] = time.time()
    return found


def _look_up(now: Snapshot, header: str) -> Principal | None:
    scheme, _, secret = header.partition(" ")
    if scheme.lower() != "bearer" or len(header) > 256:
        return None
    found = now.principals.get(digest_of(secret.strip()))
    if found is not None:
        now.headers[header] = found
    return found


def of_staff(username: str, project: str | None) -> Principal:
    """A person of the admin, acting for a project: the one named, else the first; raises `NotFound` without one."""
    projects = current().projects
    chosen = projects.get(project) if project else next(iter(projects.values()), None)
    if chosen is None:
        raise errors.NotFound(f"Project {project} not found" if project else "there is no project yet")
    return Principal(chosen.pk, chosen.name, f"user:{username}", frozenset(SCOPES), open_limit=chosen.open_limit)


def principal_of(request: Any) -> Principal:
    """Who asks in this (DRF or Django) request; raises `NotAuthenticated`."""
    if isinstance(getattr(request, "auth", None), Principal):
        return request.auth  # type: ignore[no-any-return]
    user = getattr(request, "user", None)
    if getattr(user, "is_staff", False) and getattr(user, "is_active", False):
        return of_staff(user.get_username(), request.GET.get("project"))  # type: ignore[union-attr]
    return authenticate(request.META.get("HTTP_AUTHORIZATION"))


def allow(principal: Principal, scope: str) -> None:
    """Raise `Forbidden` unless the principal holds the scope."""
    if scope not in principal.scopes:
        raise errors.Forbidden(f"this needs the scope {scope!r}, which the key does not have")


def find(principal: Principal, name: str, wanted: str | None = None) -> Route:
    """The version that answers for this principal. `name` may be `project/name`, `wanted` a number or an alias.

    Raises `NotFound` (what is not yours does not exist) and `Forbidden` (not on the key's list of models).
    """
    routes = current().routes
    known = routes.get((id(principal), name, wanted))
    if known is not None and known[0] is principal:
        return known[1]
    found = routing.choose(entry(principal, name), wanted)
    if len(routes) >= _MOST_ROUTES:
        routes.clear()
    routes[id(principal), name, wanted] = (principal, found)
    return found


def entry(principal: Principal, name: str) -> Entry:
    """The model of the principal's project by name; raises as `find` does."""
    project, _, plain = name.rpartition("/")
    if project and project != principal.project:
        raise errors.NotFound(f"Model {name} not found")
    if principal.models is not None and plain not in principal.models:
        raise errors.Forbidden(f"the key may not use model {plain}")
    found = current().entries.get((principal.project, plain))
    if found is None:
        raise errors.NotFound(f"Model {name} not found")
    return found


def version(identifier: UUID) -> Version:
    """A ready version by its id; raises `NotFound`."""
    found = current().versions.get(identifier)
    if found is None:
        raise errors.NotFound(f"version {identifier} is not ready")
    return found


def predictor(version: Version, *, wait: float = 2.0) -> Predictor:
    """The loaded version, loading it off the request if need be; raises `Unavailable` after `wait` seconds."""
    return _holder.loaded.get(version, wait=wait)
