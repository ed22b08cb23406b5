"""Seeded defects in the services mode turn the checker red, each by its finding; the same faults without one do not.

The short form runs two of them and the control, `make chaos` all.
"""

from __future__ import annotations

import os

import pytest

from tests.chaos.services import report
from tests.chaos.services.arena import Arena
from tests.chaos.services.defects import DEFECTS
from tests.chaos.services.seeds import FAULTS, run_seeded

FULL = int(os.environ.get("CHAOS_ROUNDS", "1")) >= 10
SEEDS = [name for name in DEFECTS if FULL or name in ("D1", "D6", "control")]


def test_every_fault_of_a_defect_is_known() -> None:
    assert {defect.fault for defect in DEFECTS.values()} - {""} <= set(FAULTS)


@pytest.mark.chaos
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", SEEDS)
def test_the_checker_judges_a_seeded_defect(arena: Arena, name: str) -> None:
    result = run_seeded(arena, name)
    text = report.markdown(result)
    print(text)
    if red_by := DEFECTS[name].red_by:
        assert result.verdict.findings[red_by], text
    else:
        assert result.verdict.clean, text
