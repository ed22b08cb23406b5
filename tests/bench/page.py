"""README's chapter of figures: what was measured, against what was aimed at."""

from __future__ import annotations

from pathlib import Path

from tests.bench import results


def text(folder: Path) -> str:
    online = results.read(folder, "online")
    lines = ["| work | connections | server | per second |", "|---|---:|---|---:|"]
    lines += [
        f"| {r['work']} | {r['connections']} | {r['contender']} | {r['rate']:,.0f} |" for r in online.get("rows", [])
    ]
    return "\n".join(lines)


def write(folder: Path) -> None:
    pass
