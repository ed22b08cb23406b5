"""The project of docker/compose.yml on containers, once for the session; skipped where it cannot be had."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest

from tests.deploy import images
from tests.deploy.deployed import Deployed, deployed

#: Seconds for the first test, which makes every image: on a new machine out of packages that are not there yet.
BUILD_S = 1800


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """However the tests of a module were shuffled, one that leaves something dead comes behind all others."""
    modules = [list(own) for _, own in groupby(items, key=lambda item: item.path)]
    items[:] = [item for own in modules for item in sorted(own, key=_is_last)]
    for first in [item for item in items if item.path.parent == Path(__file__).parent][:1]:
        first.add_marker(pytest.mark.timeout(BUILD_S), append=False)


def _is_last(item: pytest.Item) -> bool:
    return item.get_closest_marker("last") is not None


@pytest.fixture(scope="session")
def built() -> None:
    """Every image, built where it is not there yet; ours always, from the layers that have not changed."""
    missing = [name for name in ("podman", "buildah", "runc", "debootstrap") if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs root and Debian's {', '.join(missing) or 'podman'}")
    images.build()


@pytest.fixture(scope="session")
def server(built: None) -> Iterator[Deployed]:
    with deployed() as running:
        yield running
