"""README keeps the reports of the last full runs."""

from __future__ import annotations

from tests.chaos import readme, report


def test_readme_shows_the_kept_reports() -> None:
    assert readme.written(readme.README.read_text()) == readme.render(report.KEPT)
