"""The project of docker/compose.yml on containers, once for the session; skipped where it cannot be had."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.deploy import images
from tests.deploy.deployed import Deployed, deployed


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
