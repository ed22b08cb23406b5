"""`python -m tests [lint | <tier> …]`: the steps of `make test`, each timed, with a table at the end.

Each tier is a process of its own. `make test` runs them in two halves of two lanes, each lane in order: on two cores
the second does while the first waits for servers to start, faults to end and leases to expire.
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

from serving_site.stack import install
from serving_site.stack.server import ServerMissing

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
    "chaos": ["tests/chaos", "--ignore-glob=*/test_soak*.py", "--ignore-glob=*/test_services*.py"],
    "chaos-services": [f"tests/chaos/test_services_{name}.py" for name in ("aliases", "faults", "tools")],
    "defects-services": ["tests/chaos/test_services_defects.py"],
    "alarms-services": ["tests/chaos/test_services_alarms.py"],
    "soak": ["tests/chaos/test_soak.py", "tests/chaos/test_soak_services.py"],
    "generated": ["tests/integration/generated"],
    "deploy": ["tests/deploy"],
}
#: What `make test` runs at the same time: two lanes, then two more. `alarms-services` has no short form: two alarms are
#: in `live`, all of them in `make chaos`. `generated` is part of `integration`, and in its full form of `make soak`.
#: `deploy` needs root and podman: `make deploy-test`.
HALVES = (
    (("unit", "architecture", "integration", "browser"), ("lint", "contracts", "live")),
    (("chaos-services", "soak"), ("chaos", "defects-services")),
)
NOTHING_COLLECTED = 5


@dataclass(frozen=True)
class Outcome:
    """One step as the table shows it."""

    name: str
    passed: bool
    counts: str
    seconds: float


def main(wanted: list[str]) -> int:
    unknown = [name for name in wanted if name not in {"lint", *TIERS}]
    if unknown:
        print(f"No such step: {', '.join(unknown)}; there are lint, {', '.join(TIERS)}.", file=sys.stderr)
        return 2
    if wanted != ["lint"]:
        prepare()
    outcomes = steps(wanted) if wanted else [outcome for half in HALVES for outcome in both(*half)]
    print("\n" + "\n".join(line(outcome) for outcome in outcomes), flush=True)
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def prepare() -> None:
    """Install every server before any tier begins: one that asks for a program must not depend on another's start."""
    try:
        install.ensure()
    except ServerMissing as missing:
        print(f"{missing}. What needs them is skipped, and counted as such.", flush=True)


def both(lane: Sequence[str], beside: Sequence[str]) -> list[Outcome]:
    """Run two lanes at once; what the second one says is shown step by step when it has ended."""
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(steps, beside, at_once=False)
        return steps(lane) + second.result()


def line(outcome: Outcome) -> str:
    verdict = "passed" if outcome.passed else "FAILED"
    return f"  {outcome.name:<18}{verdict}  {outcome.seconds:6.1f} s  {outcome.counts}"


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
