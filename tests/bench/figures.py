"""What a section measured, as one JSON file each: `{"section", "made", "machine", "load", "took_s", "rows", …}`."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.bench import machine
from tests.bench.closed_loop import Load


def write(folder: Path, section: str, document: dict[str, Any], *, took_s: float) -> None:
    """Keep a section's figures with the machine they were made on."""
    folder.mkdir(parents=True, exist_ok=True)
    made = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    head = {"section": section, "made": made, "machine": machine.facts(), "load": round(machine.load(), 1)}
    text = json.dumps({**head, "took_s": round(took_s), **document}, indent=1)
    (folder / f"{section}.json").write_text(text + "\n")


def read(folder: Path, section: str) -> dict[str, Any]:
    """A section's figures; empty where it was never run."""
    path = folder / f"{section}.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def loads_row(loads: Sequence[Load], **about: Any) -> dict[str, Any]:
    """One server doing one work in all rounds; `rate` is the median, calls answered with success per second."""
    return {
        **about,
        "rate": rounded(statistics.median(load.rate for load in loads)),
        "rates": [rounded(load.rate) for load in loads],
        "p50_ms": rounded(statistics.median(load.p50_ms for load in loads)),
        "p99_ms": rounded(statistics.median(load.p99_ms for load in loads)),
        "refused": sum(load.refused for load in loads),
        "broken": sum(load.broken for load in loads),
    }


def medians(found: Sequence[Any], **about: Any) -> dict[str, Any]:
    """One row of dataclasses of numbers, each field its median."""
    columns = [asdict(one) for one in found]
    return {**about, **{name: rounded(statistics.median(one[name] for one in columns)) for name in columns[0]}}


def rounded(value: float) -> float:
    """Three significant digits are more than a noisy machine gives."""
    return float(f"{value:.4g}")
