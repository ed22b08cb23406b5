"""A killable child process: what opens or natively runs a model file runs there, under limits.

The child has no environment, writes no file, dies with the process that started it, and is killed when its time is
over. Whatever happens to it, the caller gets an error of `models_registry.errors`.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from pickle import PicklingError
from typing import Any

from pebble import ProcessExpired, ProcessPool

from models_registry import errors
from models_registry.runtime import confinement

#: Seconds beyond a call's time-out after which the child is given up even if pebble has not reported its end.
_GRACE_S = 5.0

#: Children are started by a thread that lives as long as the process, because Linux sends the parent-death signal
#: when the starting *thread* ends.
_starter = ThreadPoolExecutor(1, thread_name_prefix="sandbox-starter")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may use. `cpu_s` counts over its whole life (None: only each call's time-out bounds it)."""

    memory_bytes: int
    cpu_s: int | None = None


class Sandbox:
    """One child process that is started on first use, keeps its state between calls, and is replaced when it dies.

    Calls from several threads take turns.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._pool: ProcessPool | None = None
        self._closed = False

    def call(self, function: Callable[..., Any], *args: Any, timeout: float) -> Any:
        """Run `function(*args)` in the child and return its value; both must be importable and picklable.

        Raises `PredictionTimeout` after `timeout` seconds (the child is killed), `ProcessCrashed`,
        `ResourceExhausted`, `Unavailable` when another call held the child all that time, the function's own
        `DomainError`, and `ModelRaised` for anything else it raised.
        """
        if not self._lock.acquire(timeout=timeout):
            raise errors.Unavailable("the model's process is busy with other calls", retry_after=1)
        try:
            if self._closed:
                raise errors.Unavailable("the version is being unloaded", retry_after=1)
            outcome = self._run(function, args, timeout)
        finally:
            self._lock.release()
        return confinement.unpack(outcome)

    def close(self) -> None:
        """Kill the child; a call still running in it ends with `ProcessCrashed`."""
        self._closed = True
        self._discard()

    def _run(self, function: Callable[..., Any], args: tuple[Any, ...], timeout: float) -> Any:
        future = self._schedule(function, args, timeout)
        try:
            return future.result(timeout=timeout + _GRACE_S)
        except FutureTimeout as error:
            if not future.done():  # pebble lost sight of it
                self._discard()
            raise errors.PredictionTimeout(f"the model took longer than {timeout:g} s") from error
        except ProcessExpired as error:
            raise confinement.death_of(error.exitcode) from error
        except (PicklingError, TypeError) as error:
            # What the function itself raises comes back as an outcome: this was raised when one was to be sent.
            raise errors.ModelRaised(f"the model's process cannot send what it made: {error}") from error
        except (CancelledError, OSError, RuntimeError) as error:
            self._discard()
            raise errors.ProcessCrashed("the model's process ended") from error

    def _schedule(self, function: Callable[..., Any], args: tuple[Any, ...], timeout: float) -> Any:
        """Hand the call to the child; a pool that broke while it was idle is replaced."""
        for last in (False, True):
            pool = self._pool or self._start()
            try:
                return pool.schedule(confinement.answer, args=(function, args), timeout=timeout)
            except RuntimeError as error:
                self._discard()
                if last:
                    raise errors.ProcessCrashed("the model's process does not start") from error
        raise AssertionError("unreachable")

    def _start(self) -> ProcessPool:
        pool = ProcessPool(
            max_workers=1,
            initializer=confinement.confine,
            initargs=(os.getpid(), self._limits.memory_bytes, self._limits.cpu_s),
            context=multiprocessing.get_context("spawn"),
        )
        _starter.submit(lambda: pool.active).result()
        self._pool = pool
        return pool

    def _discard(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.stop()  # type: ignore[no-untyped-call]
            threading.Thread(target=pool.join, name="sandbox-reaper", daemon=True).start()
