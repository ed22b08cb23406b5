"""Versions loaded in this process: each loaded once, off the request, and dropped when nothing needs it.

Their memory is bounded: beyond it the least recently used one is unloaded, and loaded again when it is asked for. So
of many registered versions those in use are loaded, and what an alias points at is loaded ahead while there is room.

Compiled and native versions load in a thread each, because a native one starts a process of its own, takes
seconds, and must not stand before a compiled one that takes milliseconds.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotInTime
from dataclasses import dataclass
from uuid import UUID

from models_registry import errors
from models_registry.routing import Version
from models_registry.runtime.predictor import Predictor

logger = logging.getLogger(__name__)

#: Versions without an alias that stay loaded; the least recently used one beyond it is dropped.
ON_DEMAND_LIMIT = 8

#: Requests that may wait for a load at once; the others are told to come back at once.
WAITERS = 16

#: Seconds until a version that failed to load is tried again: first, and at most.
FIRST_RETRY_S, LAST_RETRY_S = 2.0, 60.0

#: Octets a version is taken for that nobody measured, and at least: session, names and places in our tables.
LEAST_OCTETS = 2**18


@dataclass(frozen=True, slots=True)
class Broken:
    """A version that could not be loaded: why, and when (monotonic seconds) it is tried again. `is_away`: nothing is
    wrong with the version, only its store did not answer."""

    reason: str
    retry_at: float
    pause: float
    is_away: bool


class Loaded:
    """The predictors of this process. `ready` is replaced, never mutated, so readers need no lock.

    `limit` is the most octets they may take together (0: no limit), as publishing measured them. `generation` counts
    every change of `ready`.
    """

    def __init__(self, load: Callable[[Version], Predictor], changed: Callable[[], object], *, limit: int = 0) -> None:
        self.ready: Mapping[UUID, Predictor] = {}
        self.broken: dict[UUID, Broken] = {}
        self.limit = limit
        self.octets = 0
        self.generation = 0
        self._load = load
        self._changed = changed
        self._lock = threading.Lock()
        self._running: dict[UUID, Future[Predictor]] = {}
        self._coming = 0
        self._used: dict[UUID, float] = {}
        self._held: dict[UUID, Version] = {}
        self._draining: list[tuple[float, Predictor]] = []
        self._waiters = threading.BoundedSemaphore(WAITERS)
        self._threads = {
            native: ThreadPoolExecutor(1, thread_name_prefix="load-native" if native else "load")
            for native in (False, True)
        }

    def get(self, version: Version, *, wait: float) -> Predictor:
        """The loaded version, loading it if need be; raises `Unavailable` after `wait` seconds and while its store is
        away, `ModelUnavailable` when it could not be loaded."""
        found = self.ready.get(version.id)
        if found is not None:
            self._used[version.id] = time.monotonic()
            return found
        return self._wait_for(version, wait)

    def start(self, version: Version) -> Future[Predictor] | None:
        """Begin to load unless it is loaded, being loaded, or broke a moment ago (then None)."""
        with self._lock:
            running = self._running.get(version.id)
            if running is not None or version.id in self.ready:
                return running
            broken = self.broken.get(version.id)
            if broken is not None and time.monotonic() < broken.retry_at:
                return None
            self._used[version.id] = time.monotonic()
            future = self._threads[version.runtime == "native"].submit(self._run, version)
            self._running[version.id] = future
            self._coming += octets_of(version)
            return future

    def start_ahead(self, version: Version) -> Future[Predictor] | None:
        """Begin to load what nobody has asked for yet, if there is room for it."""
        return self.start(version) if version.id in self.ready or self.has_room(version) else None

    def has_room(self, version: Version) -> bool:
        """Whether the version could be loaded without unloading another, those that are being loaded counted in."""
        coming = version.id in self._running
        return coming or not self.limit or self.octets + self._coming + octets_of(version) <= self.limit

    def keep(self, aliased: Iterable[UUID], known: Mapping[UUID, Version]) -> None:
        """Drop versions that are gone, and the least recently used ones without an alias beyond the bound."""
        needed = set(aliased)
        with self._lock:
            spare = sorted(
                (version for version in self.ready if version in known and version not in needed),
                key=lambda version: self._used.get(version, 0.0),
                reverse=True,
            )
            stay = needed | set(spare[:ON_DEMAND_LIMIT])
            dropped = self._drop([version for version in self.ready if version not in stay])
            for version in [version for version in self.broken if version not in known]:
                del self.broken[version]
            for version in [version for version in list(self._used) if version not in known]:
                self._used.pop(version, None)
        _close(dropped)

    def next_retry_s(self, wanted: Iterable[Version]) -> float:
        """Seconds until one of these that could not be loaded is due again; infinite when all could."""
        broken = [found for version in wanted if (found := self.broken.get(version.id)) is not None]
        return max(0.0, min((found.retry_at for found in broken), default=float("inf")) - time.monotonic())

    def drain(self, *, now: bool = False) -> None:
        """Close dropped versions once the calls that were running when they were dropped must have ended."""
        with self._lock:
            due = [item for item in self._draining if now or item[0] <= time.monotonic()]
            self._draining = [item for item in self._draining if item not in due]
        for _, predictor in due:
            predictor.close()

    def close(self) -> None:
        """Release every version; for the end of the process."""
        with self._lock:
            dropped = self._drop(list(self.ready))
        _close(dropped)
        self.drain(now=True)

    def _wait_for(self, version: Version, wait: float) -> Predictor:
        future = self.start(version)
        if future is None:
            found = self.ready.get(version.id)
            if found is not None:
                return found
            raise self._refusal(version)
        if not self._waiters.acquire(blocking=False):
            raise _loading(version)
        try:
            return future.result(timeout=wait)
        except NotInTime:
            raise _loading(version) from None
        except Exception as error:
            raise self._refusal(version) from error
        finally:
            self._waiters.release()

    def _refusal(self, version: Version) -> errors.Unavailable:
        broken = self.broken.get(version.id)
        if broken is None:
            return _loading(version)
        kind = errors.Unavailable if broken.is_away else errors.ModelUnavailable
        return kind(f"version {version.number} of {version.model} {broken.reason}", retry_after=2)

    def _run(self, version: Version) -> Predictor:
        try:
            predictor = self._load(version)
        except Exception as error:
            self._break(version, error)
            raise
        with self._lock:
            self.ready = {**self.ready, version.id: predictor}
            self._held[version.id] = version
            self.octets += octets_of(version)
            self.generation += 1
            self.broken.pop(version.id, None)
            self._ended(version)
            dropped = self._make_room(version.id)
        _close(dropped)
        if not self._running:  # of many loads the last one tells: looking at what changed takes time for each version
            self._changed()
        return predictor

    def _make_room(self, newest: UUID) -> list[Predictor]:
        """With the lock held: unload the least recently used ones beyond the limit, but never the newest."""
        if not self.limit or self.octets <= self.limit:
            return []
        beyond, chosen = self.octets - self.limit, []
        for version in sorted(self.ready, key=lambda version: self._used.get(version, 0.0)):
            if beyond <= 0:
                break
            if version != newest:
                chosen.append(version)
                beyond -= octets_of(self._held[version])
        logger.info("unloaded %s versions to make room", len(chosen), extra={"action": "unloaded"})
        return self._drop(chosen)

    def _drop(self, versions: Iterable[UUID]) -> list[Predictor]:
        """With the lock held: take these out. Returns those to close now; a native one is closed by `drain`, once the
        calls that run in its process must have ended. A compiled one's calls hold what they need themselves."""
        gone = set(versions)
        if not gone:
            return []
        now, closing = time.monotonic(), []
        for version in gone:
            held = self._held.pop(version)
            self.octets -= octets_of(held)
            if held.runtime == "native":
                self._draining.append((now + held.hard_limit_s + 1, self.ready[version]))
            else:
                closing.append(self.ready[version])
        self.ready = {version: found for version, found in self.ready.items() if version not in gone}
        self.generation += 1
        return closing

    def _break(self, version: Version, error: Exception) -> None:
        logger.exception(
            "version %s of %s/%s could not be loaded",
            version.number,
            version.project,
            version.model,
            extra={"action": "load_failed", "version_id": str(version.id)},
        )
        with self._lock:
            before = self.broken.get(version.id)
            pause = min(before.pause * 2, LAST_RETRY_S) if before else FIRST_RETRY_S
            reason = f"could not be loaded ({type(error).__name__})"
            self.broken[version.id] = Broken(reason, time.monotonic() + pause, pause, _is_away(error))
            self._ended(version)

    def _ended(self, version: Version) -> None:
        """With the lock held: a load is over, well or not."""
        if self._running.pop(version.id, None) is not None:
            self._coming -= octets_of(version)


def octets_of(version: Version) -> int:
    """What a loaded version counts for: the memory that publishing measured."""
    return max(version.memory_bytes, LEAST_OCTETS)


def _close(predictors: Iterable[Predictor]) -> None:
    for predictor in predictors:
        predictor.close()


def _is_away(error: Exception) -> bool:
    """Whether a later try may well succeed although nobody mends the version."""
    if isinstance(error, OSError):
        return not isinstance(error, PermissionError)
    return isinstance(error, errors.Unavailable)


def _loading(version: Version) -> errors.Unavailable:
    return errors.Unavailable(f"version {version.number} of {version.model} is being loaded", retry_after=1)
