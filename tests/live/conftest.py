"""Fixtures of the live tier: one real server of each mode for the session, for tests that leave it as they found it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.running import Server, prepared_server
from tests.services import Services, running_services


@pytest.fixture(scope="session")
def embedded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A ready server with the four demo models; see `tests.running.Server` for what it offers."""
    with prepared_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """The services mode: private servers, two web processes, four workers, keeper and beat."""
    with running_services(tmp_path_factory.mktemp("services")) as running:
        yield running


@pytest.fixture(scope="session", params=["embedded", "services"])
def server(request: pytest.FixtureRequest) -> Server:
    """The same tests against both ways to run."""
    return request.getfixturevalue("embedded_server" if request.param == "embedded" else "services")
