"""A version's publishing report, arranged for reading. Pure: a version in, plain values out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models_registry.models import ModelVersion

_COLOURS = {
    "ok": "good",
    "passed": "good",
    "done": "good",
    "failed": "bad",
    "rejected": "bad",
    "skipped": "",
    "native": "warn",
}


def of(version: ModelVersion) -> dict[str, Any]:
    """Steps, costs, parity, memory and tensors of a version, whatever of them is known so far."""
    found = version.report or {}
    costs = found.get("row_cost_s") or found.get("cost") or {}
    return {
        "steps": [_step(step) for step in found.get("steps", [])],
        "costs": _costs(costs, found.get("native_row_cost_s") or {}),
        "has_native": bool(found.get("native_row_cost_s")),
        "one_row": seconds(costs.get("1")) if costs else "",
        "memory": size(found.get("memory_bytes")),
        "parity": _facts(found.get("parity") or {}),
        "tensors": _tensors(version.signature or {}),
        "classes": (version.signature or {}).get("classes") or [],
    }


def _step(step: Mapping[str, Any]) -> dict[str, Any]:
    outcome = str(step.get("outcome", ""))
    detail = str(step.get("detail") or "")
    return {
        "name": str(step.get("name", "")).replace("_", " "),
        "colour": _COLOURS.get(outcome, "good"),
        "outcome": f"{outcome} – {detail}" if detail else outcome,
        "took": seconds(step.get("seconds")),
    }


def _costs(costs: Mapping[str, Any], native: Mapping[str, Any]) -> list[dict[str, Any]]:
    most = max([float(value) for value in costs.values()] or [0.0])
    return [
        {
            "rows": rows,
            "time": seconds(value),
            "native": seconds(native.get(rows)),
            "share": round(100 * float(value) / most, 1) if most else 0,
        }
        for rows, value in sorted(costs.items(), key=lambda item: int(item[0]))
    ]


def _facts(parity: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name.replace("_", " "), _plain(value)) for name, value in parity.items()]


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.2g}" if isinstance(value, float) else str(value)


def _tensors(signature: Mapping[str, Any]) -> list[dict[str, Any]]:
    sides = [("in", signature.get("inputs", [])), ("out", signature.get("outputs", []))]
    return [{**tensor, "side": side, "shape": list(tensor["shape"])} for side, tensors in sides for tensor in tensors]


def seconds(value: Any) -> str:
    """A duration as people write it."""
    if value is None:
        return ""
    number = float(value)
    for factor, unit in ((1.0, "s"), (1e-3, "ms")):
        if number >= factor:
            return f"{number / factor:.3g} {unit}"
    return f"{number * 1e6:.3g} µs"


def size(value: Any) -> str:
    """Bytes as people write them."""
    if not value:
        return ""
    number = float(value)
    return f"{number / 2**20:.3g} MB" if number >= 2**20 else f"{number / 2**10:.3g} kB"
