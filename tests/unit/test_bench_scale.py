"""What the section of more processes counts and writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.bench import figures, page, scale_page
from tests.bench.queueing import Ledger
from tests.bench.sections import scale


def document() -> dict[str, Any]:
    """As the section writes it, of one and two workers that measured a tenth below what is simulated."""
    ledger, service_s, costs = Ledger(0.0005, 2), [0.05], {"web": 200.0, "PostgreSQL": 500.0}
    rows: list[dict[str, Any]] = [{"path": "queued", "processes": n, "per_s": 18.0 * n, "each": []} for n in (1, 2)]
    for row in rows:
        scale._compare(row, service_s, ledger)
    simulated = [scale._simulated(workers, service_s, ledger, costs) for workers in (10, 1000)]
    return {
        **{"rounds": 3, "worker_threads": 2, "service_ms": 50.0, "costs_us": costs, "ledger_cores": 2},
        **{"ledger_most_per_s": 4000.0, "rows": rows, "simulated": simulated},
    }


def test_what_ends_together_counts_from_the_end_before_it() -> None:
    # Messages of three rows, one each 0.15 s: 20 a second, whatever the places at which the middle begins and ends.
    ended = [0.15 * (number // 3) for number in range(300)]
    assert scale.middle_rate(ended) == pytest.approx(20)


def test_ends_outside_the_middle_do_not_count() -> None:
    slow_at_both_ends = [-30.0, *(number / 20 for number in range(200)), 40.0]
    assert scale.middle_rate(slow_at_both_ends) == pytest.approx(20)


def test_the_simulation_is_shown_beside_each_measured_point() -> None:
    shown = "\n".join(scale_page.text(document()))
    assert "| queued, workers | 2 | 36 | 2.00 × | 39.6 | +10.0 % |" in shown
    assert "| 10 | 198 | 99% | 5% | the workers |" in shown
    assert "| 1,000 | 4,000 | 20% | 100% | the ledger |" in shown
    assert list(scale_page.text({})) == []


def test_the_chapter_and_the_charts_have_the_section(tmp_path: Path) -> None:
    figures.write(tmp_path, "scale", document(), took_s=1)
    assert "Simulated, not run" in page.text(tmp_path)
    drawn = page.drawings(page.measured(tmp_path))["scale"]
    assert ElementTree.fromstring(drawn).tag.endswith("svg")
    assert drawn.count("<rect") == 1 + 4
