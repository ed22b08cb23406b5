"""Django's engine for PostgreSQL, behind the guard: a connection is refused at once while the server is away."""

from __future__ import annotations

import time
from typing import Any

import psycopg
from django.db.backends.postgresql import base

from monitoring import patience
from serving_site import postgres
from serving_site.engines import counting


class DatabaseWrapper(base.DatabaseWrapper):
    """Connections that have died in the pool are found before they are used; `CHECK_S` bounds the look at each."""

    def get_connection_params(self) -> dict[str, Any]:
        found = super().get_connection_params()
        found["cursor_factory"] = counting.counted(found["cursor_factory"], self.alias, self.vendor)
        return found

    def get_new_connection(self, conn_params: Any) -> Any:
        counting.connecting(self.alias, self.vendor)
        try:
            postgres.GUARD.check()
            return self._living(conn_params)
        except Exception:
            counting.not_connected(self.alias, self.vendor)
            raise

    def _living(self, conn_params: Any) -> Any:
        """A connection of the pool that lives; the pool drops those that do not, when they come back to it."""
        end = time.monotonic() + postgres.POOL_S
        with patience.at_most(postgres.CHECK_S):
            while True:
                found = super().get_new_connection(conn_params)
                try:
                    found.look()
                except psycopg.Error:
                    self.pool.putconn(found)
                    if time.monotonic() > end:
                        raise
                else:
                    return found
