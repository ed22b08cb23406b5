"""Seeded defects in the services mode turn the checker red, each by its finding; the same faults without one do not.

The short form runs two of them and the control, `make chaos` all.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from tests.chaos import report as reports
from tests.chaos.services import report
from tests.chaos.services.arena import Arena
from tests.chaos.services.campaign import Result
from tests.chaos.services.defects import DEFECTS
from tests.chaos.services.seeds import FAULTS, run_seeded

FULL = int(os.environ.get("CHAOS_ROUNDS", "1")) >= 10
SEEDS = [name for name in DEFECTS if FULL or name in ("D1", "D6", "control")]


def test_every_fault_of_a_defect_is_known() -> None:
    assert {defect.fault for defect in DEFECTS.values()} - {""} <= set(FAULTS)


@pytest.fixture(scope="module")
def results() -> Iterator[dict[str, Result]]:
    """What the runs of this module gave; the full form keeps them."""
    found: dict[str, Result] = {}
    yield found
    if FULL and set(found) == set(DEFECTS):
        facts = {name: report.document(result) for name, result in found.items()}
        reports.write(reports.KEPT, "defects-services", json.loads(json.dumps(facts, default=str)), markdown(found))


def markdown(found: dict[str, Result]) -> str:
    lines = [
        "# Seeded defects in the services mode",
        "",
        "Each is put into every process by the tests alone; the checker must find it. The control is the same with "
        "nothing broken and every fault.",
        "",
        "| defect | fault | must be found | calls | lost | duplicated | wrong | double_terminal | non_terminal |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, defect in DEFECTS.items():
        counts = found[name].verdict.counts
        figures = [
            counts[what] for what in ("attempted", "lost", "duplicated", "wrong", "double_terminal", "non_terminal")
        ]
        fault = "all of them" if name == "control" else defect.fault or "none"
        lines.append(f"| {name} | {fault} | {defect.red_by or 'nothing'} | {' | '.join(map(str, figures))} |")
    return "\n".join(lines) + "\n"


@pytest.mark.chaos
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", SEEDS)
def test_the_checker_judges_a_seeded_defect(arena: Arena, results: dict[str, Result], name: str) -> None:
    results[name] = result = run_seeded(arena, name)
    text = report.markdown(result)
    print(text)
    if red_by := DEFECTS[name].red_by:
        assert result.verdict.findings[red_by], text
    else:
        assert result.verdict.clean, text
