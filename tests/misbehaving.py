"""The native members of the cast: loaders that a model's child process runs. They add, and misbehave on `MAGIC`."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from models_registry.runtime.signature import Signature, Tensors

#: The value that makes a native member misbehave; any other row is answered.
MAGIC = 13.0
#: Seconds that the waiting member takes for a row.
WAITING_S = 0.05


def _load(misbehave: Callable[[], Any]) -> Callable[[Tensors], Tensors]:
    def predict(inputs: Tensors) -> Tensors:
        rows = inputs["input"]
        value = rows.sum(axis=1)
        if (rows == MAGIC).any():
            replaced = misbehave()
            value = value if replaced is None else np.where((rows == MAGIC).any(axis=1), replaced, value)
        return {"value": value}

    return predict


def load_plain(path: Path, signature: Signature) -> Any:
    return _load(lambda: None)


def load_raising(path: Path, signature: Signature) -> Any:
    def misbehave() -> None:
        raise ValueError("thirteen is not a number I add")

    return _load(misbehave)


def load_crashing(path: Path, signature: Signature) -> Any:
    return _load(lambda: os._exit(7))


def load_segfaulting(path: Path, signature: Signature) -> Any:
    return _load(lambda: ctypes.string_at(0))


def load_hanging(path: Path, signature: Signature) -> Any:
    return _load(lambda: time.sleep(3600))


def load_greedy(path: Path, signature: Signature) -> Any:
    return _load(lambda: np.ones(1 << 40).sum() and None)


def load_nan(path: Path, signature: Signature) -> Any:
    return _load(lambda: np.nan)


def load_waiting(path: Path, signature: Signature) -> Any:
    """This one behaves: it waits 50 ms for each row, as for a device of its own, and takes no processor meanwhile."""

    def predict(inputs: Tensors) -> Tensors:
        rows = inputs["input"]
        time.sleep(WAITING_S * len(rows))
        return {"value": rows.sum(axis=1)}

    return predict
