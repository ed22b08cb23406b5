"""Another database for tests that ask for it: PostgreSQL in place of the run's own SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management import call_command
from django.db import connections

from serving_site import postgres


@contextmanager
def instead(url: str, *, migrate: bool = True) -> Iterator[None]:
    """Within the block Django's default database is the PostgreSQL of this URL, in this thread and in new ones."""
    before = connections.settings["default"]
    _forget()
    settings = postgres.settings(url, role="tests", connections=12)
    connections.settings["default"] = {**before, **settings, "CONN_MAX_AGE": 0}
    try:
        if migrate:
            call_command("migrate", verbosity=0, interactive=False)
        yield
    finally:
        connections["default"].close()
        connections["default"].close_pool()  # type: ignore[attr-defined]
        _forget()
        connections.settings["default"] = before


def _forget() -> None:
    connections["default"].close()
    del connections["default"]
