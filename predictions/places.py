"""Shares of a server process's threads: taken without waiting, and refused with a pause when all are taken.

Python never sees a request that has no thread, so no kind of request may hold them all: Django's at most half,
those that wait for queued predictions a quarter of all (`queued.waiting`, inside Django's half), slow models three
eighths, one slow model a quarter. An eighth is left to fast models and to health.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from uuid import UUID

from django.conf import settings

from models_registry import errors
from models_registry.routing import Version

#: A version is slow while its measured cost of one row is above this many seconds.
SLOW_ROW_S = 0.005

#: Octets of a body beyond which it is parsed while no other such body is, and seconds it waits for its turn.
LARGE_BODY = 2**20
TURN_S = 5.0

#: What most calls get: a context manager made by a generator would cost them two microseconds each.
_NONE_NEEDED = nullcontext()

_THREADS = settings.SERVING["BLOCKING_THREADS"]


class Places:
    """So many may be inside at once; nobody waits to get in."""

    def __init__(self, size: int, *, what: str) -> None:
        self.size = max(1, size)
        self._what = what
        self._free = threading.BoundedSemaphore(self.size)

    def take(self) -> bool:
        return self._free.acquire(blocking=False)

    def leave(self) -> None:
        self._free.release()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """A place for the block; raises `Unavailable` when all are taken."""
        if not self.take():
            raise errors.Unavailable(f"{self._what} has all of its {self.size} places taken", retry_after=1)
        try:
            yield
        finally:
            self.leave()


DJANGO = Places(_THREADS // 2, what="the server")
SLOW_MODELS = Places(_THREADS * 3 // 8, what="the server's slow models")

_lock = threading.Lock()
_turn = threading.Lock()
_by_model: dict[UUID, Places] = {}


def of_large_body(octets: int) -> AbstractContextManager[None]:
    """The one turn to parse a large body; raises `Unavailable` when it does not come in time.

    Parsed, a body takes ten times its size, and the interpreter parses one at a time anyway: several at once are not
    faster, only larger.
    """
    return _NONE_NEEDED if octets <= LARGE_BODY else _one_turn()


@contextmanager
def _one_turn() -> Iterator[None]:
    if not _turn.acquire(timeout=TURN_S):
        raise errors.Unavailable("many large requests are being read; send it again", retry_after=int(TURN_S))
    try:
        yield
    finally:
        _turn.release()


def of_model(version: Version) -> AbstractContextManager[None]:
    """A place of the version for the block, where it is slow; raises `Unavailable` when all are taken."""
    return _NONE_NEEDED if version.row_cost_s[0] <= SLOW_ROW_S else _of_slow_model(version)


@contextmanager
def _of_slow_model(version: Version) -> Iterator[None]:
    with _places_of(version).hold(), SLOW_MODELS.hold():
        yield


def _places_of(version: Version) -> Places:
    places = _by_model.get(version.id)
    if places is None:
        with _lock:
            if len(_by_model) > 10_000:
                _by_model.clear()
            places = _by_model.setdefault(version.id, Places(_THREADS // 4, what=f"model {version.model}"))
    return places
