"""What keeps a process's spool going beside its calls."""

from __future__ import annotations

import pytest

from monitoring import spooling
from monitoring.spooling import SpoolTick
from tests.waiting import eventually


@pytest.fixture
def small_segments(settings, tmp_path):
    """Four segments of 256 KiB at most, each for one call of 150 KiB."""
    settings.SPOOL_DIR = tmp_path
    settings.SERVING = {**settings.SERVING, "SPOOL_LIMIT": 4 * 256 * 1024}
    spooling.close()
    yield
    spooling.close()


@pytest.mark.django_db
def test_a_segment_is_prepared_as_soon_as_the_one_before_is_taken(small_segments, tmp_path):
    tick = SpoolTick(every_s=60)
    tick.start()
    try:
        for segments in (2, 2, 3, 4):
            eventually(lambda wanted=segments: len(list(tmp_path.glob("*.spool"))) == wanted, limit=5)
            spooling.append(bytes(150 * 1024))
    finally:
        tick.stop(5)
