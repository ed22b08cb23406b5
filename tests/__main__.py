"""`python -m tests [lint | chaos | soak | <tier> …]`: the steps of `make test`, each timed, with a table at the end.

Tiers run one after the other in processes of their own: a live server of one does not disturb the measurements of
the next.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
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
    for name in names:
        outcomes += lint() if name == "lint" else [tier(name)]
    print("\n" + "\n".join(line(outcome) for outcome in outcomes), flush=True)
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def line(outcome: Outcome) -> str:
    verdict = "passed" if outcome.passed else "FAILED"
    return f"  {outcome.name:<14}{verdict}  {outcome.seconds:6.1f} s  {outcome.counts}"


def lint() -> list[Outcome]:
    outcomes = []
    for name, command in LINT.items():
        print(f"— {name}", flush=True)
        started = time.monotonic()
        ended = subprocess.run(command, cwd=ROOT, check=False)
        outcomes.append(Outcome(name, ended.returncode == 0, "", time.monotonic() - started))
    return outcomes


def tier(name: str) -> Outcome:
    """Run one tier; its counts are pytest's own last line."""
    print(f"— {name}", flush=True)
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", *TIERS[name]], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    counts = ""
    for output in process.stdout:
        print(output, end="", flush=True)
        if re.search(r"\d+ (passed|failed|error|skipped)", output):
            counts = output.strip(" =\n")
    status = process.wait()
    return Outcome(name, status in (0, NOTHING_COLLECTED), counts, time.monotonic() - started)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
