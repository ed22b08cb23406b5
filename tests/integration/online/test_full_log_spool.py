"""A log spool that takes nothing more costs lines, never an answer."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitoring import metrics
from monitoring.logs import ecs
from monitoring.logs.outlet import Outlet, SpoolHandler
from monitoring.spool import SpoolFull
from tests.integration.online.conftest import Infer, ask


@pytest.fixture
def outlet(tmp_path: Path) -> Iterator[Outlet]:
    """This process's, with no room for a line."""
    handler, root = SpoolHandler(), logging.getLogger()
    handler.setFormatter(ecs.JsonFormatter())
    root.addHandler(handler)
    before = ecs.service()
    running = Outlet(tmp_path / "log-spool", limit=1, service="web")
    running.start()
    yield running
    running.stop(5)
    ecs.name_service(before)
    root.removeHandler(handler)


def test_calls_are_answered_as_ever_while_no_line_finds_room(infer: Infer, outlet: Outlet) -> None:
    with pytest.raises(SpoolFull):
        outlet._opened().append(b"a line")
    outlet.flush()
    before = metrics.value(metrics.LOG_LINES, ("dropped",))
    assert [infer()[0] for _ in range(3)] == [200] * 3
    assert [infer(ask([1, 2, 3]))[0] for _ in range(3)] == [400] * 3
    outlet.flush()
    assert metrics.value(metrics.LOG_LINES, ("dropped",)) >= before + 3
    assert infer()[0] == 200
