"""kill -9 of the supervisor, of the worker process, of both, under load: nothing accepted is lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.chaos import campaign, report

#: Kills of each kind: 1 in the short form, 10 for `make chaos`.
ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "1"))
SEED = int(os.environ.get("CHAOS_SEED", "20261122"))


@pytest.mark.chaos
@pytest.mark.timeout(120 + 120 * ROUNDS)
def test_nothing_accepted_is_lost_when_the_server_is_killed(tmp_path: Path) -> None:
    result = campaign.run(tmp_path / "data", campaign.Campaign(rounds=ROUNDS, seed=SEED))
    text = report.markdown(result)
    report.write(report.KEPT if ROUNDS >= 10 else tmp_path, "kills", report.document(result), text)
    print(text)
    assert result.verdict.clean, text
    assert len(result.kills) == 3 * ROUNDS
    assert result.verdict.counts["ok"] > 50 * ROUNDS
    assert result.moved
