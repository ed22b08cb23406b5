"""Fixtures of the live tier: one real server for the session, for tests that leave it as they found it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.running import Server, prepared_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A ready server with the four demo models; see `tests.running.Server` for what it offers."""
    with prepared_server(tmp_path_factory.mktemp("server")) as running:
        yield running
