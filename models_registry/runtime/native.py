"""Versions that did not compile: they predict in a child process of their own that keeps the model loaded.

A model that hangs, crashes or takes too much memory fails its own call; its child is replaced and loads again. While
it keeps dying, calls are refused at once for a moment, so that starting children takes no processor from others.
"""

from __future__ import annotations

import importlib
import logging
import math
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from models_registry import errors
from models_registry.runtime.bisection import rows_of
from models_registry.runtime.sandbox import Limits, Sandbox
from models_registry.runtime.signature import Signature, Tensors
from monitoring.breaker import Breaker

logger = logging.getLogger(__name__)

#: Seconds a child may take to import its library and load the model; importing scikit-learn alone takes three.
LOAD_LIMIT_S = 60.0

#: Deaths of the child in a row that open the circuit, and seconds until one call tries, first and at most.
DEATHS = 5
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 15.0

_UNLOADED = "unloaded"
_loaded: dict[tuple[str, str], Callable[[Tensors], Tensors]] = {}


class NativePredictor:
    """A version in a child process. Calls take turns; loading again after a death is not counted as a call's time.

    `loader` names the function that runs in the child as `package.module:function`: it takes the path and the
    signature, and returns the function from inputs to outputs.
    """

    def __init__(self, path: Path, signature: Signature, *, loader: str, memory_limit: int) -> None:
        self.signature = signature
        self._model = (loader, str(path))
        self._sandbox = Sandbox(Limits(memory_bytes=memory_limit))
        self._pid = 0
        self._closed = False
        self.breaker = Breaker(failures=DEATHS, pause_s=FIRST_PAUSE_S, longest_pause_s=LONGEST_PAUSE_S)

    def load(self) -> None:
        """Start the child and load the model, unless it is loaded. Raises `ModelRaised` and what its death raises."""
        self._pid = self._sandbox.call(_load, *self._model, self.signature, timeout=LOAD_LIMIT_S)

    def predict(self, inputs: Tensors, *, timeout: float) -> Tensors:
        """As the contract says; also raises `Unavailable` when other calls or a reload held the child too long, and
        `CircuitOpen` while it keeps dying."""
        if not self.breaker.admits():
            raise self._refusal()
        started = time.monotonic()
        try:
            outputs = self._sandbox.call(_predict, *self._model, dict(inputs), timeout=timeout)
            if outputs == _UNLOADED:
                self._load_again()
                outputs = self._sandbox.call(_predict, *self._model, dict(inputs), timeout=timeout)
        except (errors.ModelRaised, errors.UnusableOutput):
            self.breaker.succeeded()  # the process lives
            raise
        except (errors.ProcessCrashed, errors.PredictionTimeout, errors.ResourceExhausted) as error:
            self._died(error)
            logger.warning(
                "a native model's process failed after %.3f s: %s",
                time.monotonic() - started,
                error.code,  # not its words: a dying process may say what it was given
                extra={"action": "child_failed", "code": error.code},
            )
            threading.Thread(target=self._warm, name="native-reload", daemon=True).start()
            raise
        if outputs == _UNLOADED:
            raise errors.Unavailable("the model's process is being replaced", retry_after=1)
        self.breaker.succeeded()
        return _checked(outputs, self.signature, rows_of(inputs))

    def memory_bytes(self) -> int:
        """Resident memory of the child; 0 when it has none at the moment."""
        try:
            pages = int(Path(f"/proc/{self._pid}/statm").read_text().split()[1])
        except (OSError, ValueError, IndexError):
            return 0
        return pages * os.sysconf("SC_PAGE_SIZE")

    def close(self) -> None:
        self._closed = True
        self._sandbox.close()

    def _refusal(self) -> errors.CircuitOpen:
        wait = math.ceil(max(1.0, self.breaker.retry_after()))
        return errors.CircuitOpen(f"the model's process keeps dying; it is tried again in {wait} s", retry_after=wait)

    def _died(self, error: errors.DomainError) -> None:
        """A death counts; a call that took too long was killed by us, and says less about the version."""
        if not isinstance(error, errors.PredictionTimeout) and self.breaker.failed():
            logger.error("a native model's process keeps dying", extra={"action": "version_circuit_opened"})

    def _load_again(self) -> None:
        try:
            self.load()
        except errors.DomainError as error:
            self._died(error)
            raise errors.Unavailable(
                f"the model's process could not be replaced: {error.message}", retry_after=2
            ) from error

    def _warm(self) -> None:
        """Load ahead of the next call; a failure is met again, and reported, by that call."""
        try:
            if not self._closed:
                self.load()
        except errors.DomainError as error:
            logger.warning("a native model did not load again: %s", error.code, extra={"action": "reload_failed"})


def _load(loader: str, path: str, signature: Signature) -> int:
    """In the child: load the model once; return the child's process id."""
    if (loader, path) not in _loaded:
        module, _, name = loader.partition(":")
        _loaded[loader, path] = getattr(importlib.import_module(module), name)(Path(path), signature)
    return os.getpid()


def _predict(loader: str, path: str, inputs: Tensors) -> Tensors | str:
    """In the child: the outputs, or `_UNLOADED` when this child is a new one."""
    model = _loaded.get((loader, path))
    return _UNLOADED if model is None else model(inputs)


def _checked(outputs: Any, signature: Signature, rows: int) -> Tensors:
    for spec in signature.outputs:
        output = outputs.get(spec.name)
        if not isinstance(output, np.ndarray) or output.ndim == 0 or len(output) != rows:
            raise errors.UnusableOutput(f"output {spec.name} is not a tensor of {rows} rows")
    return {spec.name: outputs[spec.name] for spec in signature.outputs}
