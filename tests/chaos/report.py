"""A campaign as JSON and as Markdown for people."""

from __future__ import annotations

import json
import platform
import statistics
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.chaos import readme
from tests.chaos.campaign import Result
from tests.chaos.checker import BOLD

#: Where the figures that README quotes are kept; short runs leave them alone.
KEPT = Path(__file__).parent / "reports"
PACKAGES = ("django", "celery", "granian", "onnxruntime")


def versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def document(result: Result) -> dict[str, Any]:
    return {
        "campaign": asdict(result.campaign),
        "counts": result.verdict.counts,
        "findings": {name: found[:50] for name, found in result.verdict.findings.items()},
        "kills": [asdict(kill) for kill in result.kills],
        "drain_s": round(result.drain_s, 2),
        "alias_moves": result.moved,
        "versions": versions(),
    }


def markdown(result: Result) -> str:
    counts = result.verdict.counts
    by_kind = {kind: sum(1 for kill in result.kills if kill.kind == kind) for kind in ("supervisor", "worker", "both")}
    lines = [
        f"# Kills under load, seed {result.campaign.seed}",
        "",
        f"kill -9 of the supervisor {by_kind['supervisor']} times, of the worker process {by_kind['worker']} times, of "
        f"both {by_kind['both']} times, each followed by a start, while clients called both doors and "
        f"{result.moved} alias changes moved the champions. Drained in {result.drain_s:.1f} s. "
        f"**{'Nothing broken' if result.verdict.clean else 'PROMISES BROKEN'}.**",
        "",
        "| figure | count |",
        "|---|---:|",
        *(f"| {f'**{name}**' if name in BOLD else name} | {count:,} |" for name, count in counts.items()),
    ]
    if result.kills:
        back = sorted(kill.back_s for kill in result.kills)
        lines += ["", f"Ready again after a kill: median {statistics.median(back):.2f} s, slowest {back[-1]:.2f} s."]
    for name in BOLD:
        lines += [f"- {name}: {finding}" for finding in result.verdict.findings[name][:20]]
    return "\n".join(lines) + "\n"


def write(folder: Path, name: str, facts: dict[str, Any], text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(facts, indent=2) + "\n")
    (folder / f"{name}.md").write_text(text)
    if folder == KEPT:
        readme.write(folder)
