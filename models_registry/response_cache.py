"""Answers kept for a while, so that an equal input is not run again. In this process only, bounded in bytes.

A key holds all that an answer depends on: the artefact, how it is served, and the input as the model sees it. So a
promotion cannot give a stale answer: another artefact has other keys. An entry dies with the predictor that made it.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

import numpy as np

from models_registry.routing import Version
from models_registry.runtime.signature import Tensors

#: Octets an entry takes beside its tensors, measured: key, places in two dictionaries, array objects.
OVERHEAD = 1_000
#: One answer takes at most this share of the bound.
MOST_SHARE = 8
#: Configurations that are remembered as bytes.
_MOST_CONFIGURATIONS = 10_000


class Wish(StrEnum):
    """What a request asks of the cache: nothing, a fresh answer, or that nothing of it is kept."""

    NONE = ""
    FRESH = "no-cache"
    NO_STORE = "no-store"


class Outcome(StrEnum):
    """What the cache did: gave an answer it had, ran the model, waited for an equal input's run, or kept out."""

    HIT = "hit"
    MISS = "miss"
    COLLAPSED = "collapsed"
    BYPASS = "bypass"


@dataclass(frozen=True, slots=True)
class Answered:
    """Outputs and where they came from. `ttl_s`: seconds for which they are given again, 0 when not kept."""

    outputs: Tensors
    outcome: Outcome
    ttl_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Entry:
    version: UUID
    outputs: Tensors
    stored_at: float
    octets: int


@dataclass(slots=True)
class _Flight:
    """One run that callers with an equal input wait for; `outputs` stays None when it fails."""

    done: threading.Event = field(default_factory=threading.Event)
    outputs: Tensors | None = None


_configurations: dict[tuple[UUID, str], bytes] = {}


def key_of(version: Version, inputs: Tensors) -> bytes:
    """SHA-256 over artefact, serving configuration and canonical input: equal where the answers must be equal.

    `inputs` are as the predictor takes them. The project is part of it: nobody learns from a cache what others asked.
    """
    digest = hashlib.sha256(_configuration(version))
    for spec in version.signature.inputs:
        array = inputs[spec.name]
        digest.update(f"{spec.name}\0{array.dtype.str}{array.shape}\0".encode())
        if array.dtype.kind == "O":
            digest.update(json.dumps(array.ravel().tolist()).encode())
        else:
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.digest()


def _configuration(version: Version) -> bytes:
    """Everything beside the input, made once per version."""
    known = _configurations.get((version.id, version.served_digest))
    if known is None:
        parts = [version.project_id, version.digest, version.served_digest, version.runtime, version.format]
        text = json.dumps([*parts, version.missing_text, version.signature.to_json()], sort_keys=True)
        if len(_configurations) >= _MOST_CONFIGURATIONS:
            _configurations.clear()
        known = _configurations[version.id, version.served_digest] = hashlib.sha256(text.encode()).digest()
    return known


class ResponseCache:
    """Answers of the versions loaded here, the least recently used dropped beyond `limit` octets.

    At most `followers` callers wait for an equal input's run at once; the others run by themselves.
    """

    def __init__(self, limit: int, *, followers: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self.octets = 0
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._by_version: Counter[UUID] = Counter()
        self._flights: dict[bytes, _Flight] = {}
        self._followers = threading.BoundedSemaphore(followers)

    def __len__(self) -> int:
        return len(self._entries)

    def answer(
        self, version: Version, inputs: Tensors, *, run: Callable[[], Tensors], wait: float, wish: Wish = Wish.NONE
    ) -> Answered:
        """The answer for `inputs`, kept or from `run`, whose errors are raised and never kept.

        Of callers with an equal input one runs and the others wait for it, up to `wait` seconds; when it fails or
        takes longer, each of them runs by itself.
        """
        if wish is Wish.NO_STORE:
            return Answered(run(), Outcome.BYPASS)
        key = key_of(version, inputs)
        if wish is Wish.FRESH:
            outputs = run()
            return Answered(outputs, Outcome.BYPASS, self._ttl_if(self.put(version, key, outputs), version))
        with self._lock:
            found = self._find(version, key)
            if found is not None:
                return found
            flight, leads = self._flights.get(key), False
            if flight is None:
                flight, leads = self._flights.setdefault(key, _Flight()), True
        return self._lead(version, key, flight, run) if leads else self._follow(version, flight, run, wait)

    def put(self, version: Version, key: bytes, outputs: Tensors) -> bool:
        """Keep an answer; False when it is too large. The arrays are copied: they may be cuts of a whole batch."""
        octets = OVERHEAD + sum(_octets(array) for array in outputs.values())
        if octets > self.limit // MOST_SHARE:
            return False
        kept = {name: array.copy() for name, array in outputs.items()}
        for array in kept.values():
            array.flags.writeable = False
        with self._lock:
            self._remove(key)
            self._entries[key] = _Entry(version.id, kept, self._clock(), octets)
            self._by_version[version.id] += 1
            self.octets += octets
            while self.octets > self.limit:
                self._remove(next(iter(self._entries)))
        return True

    def keep(self, loaded: Container[UUID]) -> None:
        """Drop the answers of versions that are not loaded any more."""
        with self._lock:
            gone = {version for version in self._by_version if version not in loaded}
            for key in [key for key, entry in self._entries.items() if entry.version in gone] if gone else ():
                self._remove(key)

    def clear(self) -> None:
        self.keep(())

    def _find(self, version: Version, key: bytes) -> Answered | None:
        """A kept answer that is young enough now, whatever the model's time was when it was kept."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        left = entry.stored_at + version.cache_ttl_s - self._clock()
        if left <= 0:
            self._remove(key)
            return None
        self._entries.move_to_end(key)
        return Answered(entry.outputs, Outcome.HIT, left)

    def _lead(self, version: Version, key: bytes, flight: _Flight, run: Callable[[], Tensors]) -> Answered:
        try:
            flight.outputs = outputs = run()
            return Answered(outputs, Outcome.MISS, self._ttl_if(self.put(version, key, outputs), version))
        finally:
            with self._lock:
                self._flights.pop(key, None)
            flight.done.set()

    def _follow(self, version: Version, flight: _Flight, run: Callable[[], Tensors], wait: float) -> Answered:
        if self._followers.acquire(blocking=False):
            try:
                flight.done.wait(max(0.0, wait))
            finally:
                self._followers.release()
            if flight.outputs is not None:
                return Answered(flight.outputs, Outcome.COLLAPSED, version.cache_ttl_s)
        return Answered(run(), Outcome.MISS)

    def _remove(self, key: bytes) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.octets -= entry.octets
            self._by_version[entry.version] -= 1
            if not self._by_version[entry.version]:
                del self._by_version[entry.version]

    @staticmethod
    def _ttl_if(kept: bool, version: Version) -> float:
        return version.cache_ttl_s if kept else 0.0


def _octets(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> int:
    if array.dtype.kind != "O":
        return array.nbytes
    return array.nbytes + sum(60 + 4 * len(text or "") for text in array.ravel().tolist())
