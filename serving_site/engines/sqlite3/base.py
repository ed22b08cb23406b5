"""Django's engine for SQLite with its statements counted."""

from __future__ import annotations

from typing import Any

from django.db.backends.sqlite3 import base

from serving_site.engines import counting

_CURSOR = base.SQLiteCursorWrapper


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params: Any) -> Any:
        counting.connecting(self.alias, self.vendor)
        try:
            return super().get_new_connection(conn_params)
        except Exception:
            counting.not_connected(self.alias, self.vendor)
            raise

    def create_cursor(self, name: str | None = None) -> Any:
        return self.connection.cursor(factory=counting.counted(_CURSOR, self.alias, self.vendor))
