"""The contract every runtime fulfils: one loaded version that answers batches."""

from __future__ import annotations

from typing import Protocol

from models_registry.runtime.signature import Signature, Tensors


class Predictor(Protocol):
    """One version, loaded and warm. Safe to call from several threads."""

    signature: Signature

    def predict(self, inputs: Tensors, *, timeout: float) -> Tensors:
        """Answer a batch: every input and every output has the same number of rows on axis 0.

        `inputs` are validated against the signature and keyed by its names; text is an object array of
        `str` (None where missing), a missing number is NaN. Outputs are keyed by the signature's names.

        Raises `ModelRaised`, `UnusableOutput`, `PredictionTimeout` (after `timeout` seconds, measured from the
        call), `ProcessCrashed`, `ResourceExhausted`, and `Unavailable` when it got no turn or its process is being
        replaced (no fault of the input; try again): all from `models_registry.errors`.
        """
        ...

    def memory_bytes(self) -> int:
        """Resident memory this version is accounted with, in bytes."""
        ...

    def close(self) -> None:
        """Release the version; calls still running end with an answer or an error, never hang."""
        ...
