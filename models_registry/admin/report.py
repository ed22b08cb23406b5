"""A version's publishing report, arranged for reading. Pure: a version in, plain values out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from models_registry.models import ModelVersion
from models_registry.publishing.report import STEPS

_COLOURS = {"ok": "good", "failed": "warn", "skipped": ""}
_PARITY = {
    "rows": "rows compared",
    "labels_differ": "labels that differ",
    "worst_relative": "largest relative difference",
}


def of(version: ModelVersion) -> dict[str, Any]:
    """Steps, costs, parity, memory and tensors of a version, whatever of them is known so far."""
    found = version.report or {}
    costs = list(zip((1, 8, 64), found.get("row_cost_s") or (), strict=False))
    steps = [_step(step) for step in found.get("steps", [])]
    if version.status == ModelVersion.Status.REJECTED and steps:
        steps[-1]["colour"] = "bad"
    return {
        "steps": steps,
        "under_way": _under_way(version.progress),
        "costs": _costs(costs),
        "one_row": seconds(costs[0][1]) if costs else "",
        "memory": size(found.get("memory_bytes")),
        "parity": _facts(found.get("parity") or {}),
        "libraries": sorted((found.get("libraries") or {}).items()),
        "tensors": _tensors(version.signature or {}),
        "classes": (version.signature or {}).get("classes") or [],
    }


def _under_way(step: str) -> dict[str, Any] | None:
    """Which of the steps runs now, and how much of the way lies behind."""
    if step not in STEPS:
        return None
    number = STEPS.index(step)
    return {"name": step, "number": number + 1, "of": len(STEPS), "share": round(100 * number / len(STEPS))}


def _step(step: Mapping[str, Any]) -> dict[str, Any]:
    outcome = str(step.get("outcome", ""))
    detail = str(step.get("detail") or "")
    return {
        "name": str(step.get("name", "")).replace("_", " "),
        "colour": _COLOURS.get(outcome, "good"),
        "outcome": detail if detail and outcome == "ok" else f"{outcome}: {detail}".removesuffix(": "),
        "took": seconds(step.get("seconds")) if step.get("seconds") else "< 1 ms",
    }


def _costs(costs: Sequence[tuple[int, float]]) -> list[dict[str, Any]]:
    """Bars as long as the cost of one row in a call of so many: what gathering rows saves."""
    most = max([cost / rows for rows, cost in costs] or [0.0])
    return [
        {
            "rows": rows,
            "time": seconds(cost),
            "each": seconds(cost / rows),
            "share": round(100 * cost / rows / most, 1) if most else 0,
        }
        for rows, cost in costs
    ]


def _facts(parity: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(_PARITY.get(name, name), _plain(value)) for name, value in parity.items()]


def _plain(value: Any) -> str:
    if value is None:
        return "–"
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
