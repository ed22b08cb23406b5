"""From a version to a loaded predictor. Where bytes lie and what a child may use is told once, by the app."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from models_registry import errors
from models_registry.routing import Version
from models_registry.runtime.predictor import Predictor

#: Format of a natively served artefact → the function `load(path, signature)` that opens it, in the child only.
LOADERS: dict[str, str] = {"skops": "models_registry.runtime.sklearn:load"}

_locate: Callable[[str], Path] | None = None
_memory_limit = 2 * 2**30


def configure(*, locate: Callable[[str], Path], memory_limit: int) -> None:
    """Say how a digest becomes a verified local file, and how many bytes of address space a child may have."""
    global _locate, _memory_limit
    _locate, _memory_limit = locate, memory_limit


def load(version: Version) -> Predictor:
    """Load a version so that it can answer; it may take seconds, so it never happens on a request.

    Raises `NotFound` or `Conflict` for its artefact, `ModelRaised` when it cannot be loaded, and what a child's
    death raises.
    """
    if _locate is None:
        raise RuntimeError("loading is not configured: see models_registry.apps")
    path = _locate(version.served_digest)
    if version.runtime == "onnx":
        # Imported here, because every command loads the app and few of them load a model.
        from models_registry.runtime.onnx import OnnxPredictor

        return OnnxPredictor(path.read_bytes(), version.signature, missing_text=version.missing_text)
    loader = LOADERS.get(version.format)
    if version.runtime != "native" or loader is None:
        raise errors.ModelRaised(f"no runtime {version.runtime} for the format {version.format}")
    from models_registry.runtime.native import NativePredictor

    predictor = NativePredictor(path, version.signature, loader=loader, memory_limit=_memory_limit)
    try:
        predictor.load()
    except BaseException:
        predictor.close()
        raise
    return predictor
