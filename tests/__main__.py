"""`python -m tests [lint | chaos | soak | <tier> …]`: the steps of `make test`, each timed, with a table at the end.

Tiers run one after the other in processes of their own: a live server of one does not disturb the measurements of
the next. Only lint and the contracts, which wait for servers more than they calculate, run beside the first ones.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
LINT = {
    "ruff check": [BIN / "ruff", "check", "--quiet", "."],
    "ruff format": [BIN / "ruff", "format", "--check", "--quiet", "."],
    "mypy": [BIN / "mypy", "--no-error-summary"],
    "lint-imports": [BIN / "lint-imports", "--no-logo"],
}
TIERS = {
    "unit": ["tests/unit"],
    "contracts": ["tests/contracts"],
    "architecture": ["tests/architecture"],
    "integration": ["tests/integration"],
    "live": ["tests/live"],
    "browser": ["tests/browser"],
    "chaos": ["tests/chaos", "--ignore-glob=*/test_soak*.py"],
    "soak": ["tests/chaos/test_soak.py", "tests/chaos/test_soak_services.py"],
}
#: Two lanes at the same time, then everything else in order.
FIRST = ["unit", "architecture", "integration"]
BESIDE = ["lint", "contracts"]
NOTHING_COLLECTED = 5


@dataclass(frozen=True)
class Outcome:
    """One step as the table shows it."""

    name: str
    passed: bool
    counts: str
    seconds: float


def main(wanted: list[str]) -> int:
    names = wanted or ["lint", *TIERS]
    unknown = [name for name in names if name not in {"lint", *TIERS}]
    if unknown:
        print(f"No such step: {', '.join(unknown)}; there are lint, {', '.join(TIERS)}.", file=sys.stderr)
        return 2
    outcomes: list[Outcome] = []
    if not wanted:
        with ThreadPoolExecutor(1) as lane:
            beside = lane.submit(steps, BESIDE, at_once=False)
            outcomes += steps(FIRST)
            outcomes += beside.result()
        names = [name for name in names if name not in {*FIRST, *BESIDE}]
    outcomes += steps(names)
    print("\n" + "\n".join(line(outcome) for outcome in outcomes), flush=True)
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def line(outcome: Outcome) -> str:
    verdict = "passed" if outcome.passed else "FAILED"
    return f"  {outcome.name:<14}{verdict}  {outcome.seconds:6.1f} s  {outcome.counts}"


def steps(names: Sequence[str], *, at_once: bool = True) -> list[Outcome]:
    """Run these in order; what they say is shown as it comes, or (`at_once=False`) when each has ended."""
    outcomes: list[Outcome] = []
    for name in names:
        if name == "lint":
            outcomes += [step(tool, command, at_once=at_once) for tool, command in LINT.items()]
        else:
            outcomes.append(step(name, [sys.executable, "-m", "pytest", "-q", *TIERS[name]], at_once=at_once))
    return outcomes


def step(name: str, command: Sequence[str | Path], *, at_once: bool) -> Outcome:
    """Run one; a tier's counts are pytest's own last line."""
    started = time.monotonic()
    said = [f"— {name}\n"]
    if at_once:
        print(said[0], end="", flush=True)
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    counts = ""
    for output in process.stdout:
        said.append(output)
        if at_once:
            print(output, end="", flush=True)
        if re.search(r"\d+ (passed|failed|error|skipped)", output):
            counts = output.strip(" =\n")
    status = process.wait()
    if not at_once:
        print("".join(said), end="", flush=True)
    return Outcome(name, status in (0, NOTHING_COLLECTED), counts, time.monotonic() - started)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
