"""Fixtures of the chaos tier."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.chaos.services.arena import Arena, running_arena

#: Minutes of waiting for alarms: in the full form alone.
collect_ignore = [] if int(os.environ.get("CHAOS_ROUNDS", "1")) >= 10 else ["test_services_alarms.py"]


@pytest.fixture(scope="session")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """Private servers of the services mode, for every test that brings its own processes."""
    with running_arena(tmp_path_factory.mktemp("arena")) as running:
        yield running
