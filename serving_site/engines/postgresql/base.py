"""Django's engine for PostgreSQL, behind the guard: a connection is refused at once while the server is away."""

from __future__ import annotations

from typing import Any

from django.db.backends.postgresql import base

from monitoring import patience
from serving_site import postgres
from serving_site.engines import counting


class DatabaseWrapper(base.DatabaseWrapper):
    """`CHECK_S` bounds what the pool waits for each connection that it looks at before it hands it out."""

    def get_connection_params(self) -> dict[str, Any]:
        found = super().get_connection_params()
        found["cursor_factory"] = counting.counted(found["cursor_factory"], self.alias, self.vendor)
        return found

    def get_new_connection(self, conn_params: Any) -> Any:
        counting.connecting(self.alias, self.vendor)
        try:
            postgres.GUARD.check()
            with patience.at_most(postgres.CHECK_S):
                return super().get_new_connection(conn_params)
        except Exception:
            counting.not_connected(self.alias, self.vendor)
            raise
