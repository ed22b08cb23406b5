"""Cursors that count and time their statements in django-prometheus' metrics.

That package's own engines make a class for every cursor and look labels up at every statement; here both are done once.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django.conf import settings
from django_prometheus import db


@lru_cache(maxsize=16)
def counted(cursor_class: type[Any], alias: str, vendor: str) -> type[Any]:
    """`cursor_class` with every statement counted under this alias and vendor."""
    if not settings.MONITORING:
        return cursor_class
    executes = db.execute_total.labels(alias, vendor)
    many = db.execute_many_total.labels(alias, vendor)
    seconds = db.query_duration_seconds.labels(alias=alias, vendor=vendor)

    def failed(error: BaseException) -> None:
        db.errors_total.labels(alias, vendor, type(error).__name__).inc()

    class Counted(cursor_class):  # type: ignore[misc]
        def execute(self, *args: Any, **options: Any) -> Any:
            executes.inc()
            try:
                with seconds.time():
                    return super().execute(*args, **options)
            except Exception as error:
                failed(error)
                raise

        def executemany(self, query: Any, parameters: Any, *args: Any, **options: Any) -> Any:
            executes.inc()
            many.inc()
            try:
                with seconds.time():
                    return super().executemany(query, parameters, *args, **options)
            except Exception as error:
                failed(error)
                raise

    return Counted


def connecting(alias: str, vendor: str) -> None:
    """A new connection is asked for."""
    db.connections_total.labels(alias, vendor).inc()


def not_connected(alias: str, vendor: str) -> None:
    """It was not had."""
    db.connection_errors_total.labels(alias, vendor).inc()
