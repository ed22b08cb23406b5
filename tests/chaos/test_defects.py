"""Two seeded defects turn the checker red, each by the finding that is meant for it; without them it stays green."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from serving_site.supervisor import PROCESS_ENVIRONMENT
from tests.chaos import campaign, report
from tests.chaos.defective_server import DEFECTS

SHORT = campaign.Campaign(calls=200, rate=60.0, drain_limit_s=20.0, hard_limit_s=2.0, retry_s=2.0)
LIMITS = {**PROCESS_ENVIRONMENT, "LEASE_S": "3", "KEEPER_INTERVAL_S": "1"}
RED_BY = {"none": None, "publish_before_commit": "non_terminal", "version_resolved_in_the_worker": "wrong"}


def test_every_defect_has_its_finding() -> None:
    assert set(RED_BY) == set(DEFECTS)


@pytest.mark.chaos
@pytest.mark.parametrize("defect", DEFECTS)
def test_the_checker_judges_a_seeded_defect(defect: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.chaos.defective_server", defect]
    result = campaign.run(tmp_path / "data", SHORT, command=command, environment=LIMITS)
    findings = result.verdict.findings
    red_by = RED_BY[defect]
    if red_by is None:
        assert result.verdict.clean, report.markdown(result)
    else:
        assert findings[red_by], report.markdown(result)
