"""Do two runtimes give the same answers? Labels equal on every row, numbers within a tolerance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models_registry.runtime.signature import Tensors

#: Largest relative difference of a probability or a value.
TOLERANCE = 1e-5

#: Below it a probability is compared against it: near zero a relative difference says nothing, and float32, in which
#: a probability and its complement share one rounding, cannot tell 1e-7 from 2e-7.
PROBABILITY_FLOOR = 0.1

#: The same for other numbers, as a share of the output's median size.
_VALUE_FLOOR = 1e-2


@dataclass(frozen=True, slots=True)
class Parity:
    """What the comparison found. `worst` is the largest relative difference of a number."""

    rows: int
    labels_differ: int
    worst: float
    first: str = ""

    @property
    def holds(self) -> bool:
        return self.labels_differ == 0 and self.worst <= TOLERANCE

    def sentence(self) -> str:
        if self.holds:
            return f"all labels and values agree on {self.rows} rows (worst relative difference {self.worst:.1e})"
        return (
            f"{self.labels_differ} of {self.rows} labels differ, worst relative difference {self.worst:.1e} "
            f"(allowed {TOLERANCE:.0e}){self.first}"
        )


def compare(native: Tensors, compiled: Tensors) -> Parity:
    """Compare two answers to the same rows, by output name."""
    rows = len(next(iter(native.values())))
    differ, worst, first = 0, 0.0, ""
    for name, wanted in native.items():
        distance = distances(name, wanted, compiled[name])
        if wanted.dtype.kind == "f":
            worst = max(worst, float(distance.max()))
        else:
            differ = max(differ, int((distance > 0).sum()))
        if distance.max() > TOLERANCE and not first:
            at = int(distance.argmax())
            first = f", first in row {at}: {name} {compiled[name][at]} instead of {wanted[at]}"
    return Parity(rows, differ, worst, first[:300])


def wrong_rows(native: Tensors, compiled: Tensors) -> np.ndarray:
    """Which rows are answered differently, as a mask."""
    differs = [distances(name, wanted, compiled[name]) > TOLERANCE for name, wanted in native.items()]
    return np.asarray(np.any(differs, axis=0))


def distances(name: str, wanted: np.ndarray, found: np.ndarray) -> np.ndarray:
    """One number per row: the largest relative difference of a float output, 0 or infinity for anything else."""
    rows = len(wanted)
    if found.size != wanted.size:
        return np.full(rows, np.inf)
    found = found.reshape(wanted.shape)
    if wanted.dtype.kind == "f":
        apart = relative(wanted.astype(np.float64), found.astype(np.float64), floor_of(name, wanted))
    else:
        apart = np.where(np.asarray(wanted != found), np.inf, 0.0)
    largest: np.ndarray = apart.reshape(rows, -1).max(axis=1)
    return largest


def relative(wanted: np.ndarray, found: np.ndarray, floor: float) -> np.ndarray:
    """Differences relative to what is wanted, or to `floor` where that is larger; infinite where one is not finite."""
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = np.abs(wanted - found) / np.maximum(np.abs(wanted), max(floor, np.finfo(float).tiny))
    same = (wanted == found) | (np.isnan(wanted) & np.isnan(found))
    return np.where(same, 0.0, np.where(np.isfinite(distance), distance, np.inf))


def floor_of(name: str, wanted: np.ndarray) -> float:
    """Below which size numbers of this output are compared against that size."""
    if name == "probabilities":
        return PROBABILITY_FLOOR
    finite = np.abs(wanted[np.isfinite(wanted)])
    return _VALUE_FLOOR * float(np.median(finite)) if finite.size else 0.0
