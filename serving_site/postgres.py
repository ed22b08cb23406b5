"""PostgreSQL as every process uses it: a bounded pool, and no statement that waits for ever.

A frozen server is not noticed by the server's own time-outs, nor by TCP's: its kernel still acknowledges. So the
client bounds each wait: a connection whose answer is late is closed, and its caller gets an `OperationalError`.
"""

from __future__ import annotations

import select
import time
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import errors
from psycopg_pool import ConnectionPool

from monitoring import patience
from monitoring.guards import Guard
from monitoring.health import LIMIT_S, Part, State
from serving_site import addresses

#: Seconds: the server's own limit of a statement, the client's limit of one answer, of a free connection, of a new one.
STATEMENT_S = 5
ANSWER_S = 6.0
POOL_S = 3.0
CONNECT_S = 2
#: Seconds to wait for a sign of life of a connection before it is used, and the seconds after an answer of it in which
#: it is not asked for one: a question is a trip, which takes half as long as an insert.
CHECK_S = 1.0
SURE_S = 0.5

#: Opened and closed by the prober alone: statements end late, and pools run dry, for many reasons.
GUARD = Guard("postgresql", refusal=psycopg.OperationalError, is_failure=lambda _: False)


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that waits at most `ANSWER_S` (or the thread's own patience) for anything, and is closed then."""

    #: When it last answered, monotonic.
    answered_at = 0.0

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        limit = patience.seconds(ANSWER_S) if timeout is None else timeout
        try:
            found = super().wait(gen, interval, limit)
        except errors._WaitTimeout:
            self.pgconn.finish()
            raise psycopg.OperationalError(f"PostgreSQL did not answer within {limit:g} s") from None
        self.answered_at = time.monotonic()
        return found

    def look(self) -> None:
        """Before it is used again: raises what psycopg does when it has died."""
        if time.monotonic() - self.answered_at > SURE_S or self._has_news():
            ConnectionPool.check_connection(self)

    def _has_news(self) -> bool:
        """A server that ends says so, or its kernel does; otherwise nothing comes unasked."""
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        return bool(poll.poll(0))


def settings(url: str, *, role: str, connections: int) -> dict[str, Any]:
    """Django's entry in DATABASES; `connections` bounds this process's pool."""
    place = addresses.database(url)
    return {
        "ENGINE": "serving_site.engines.postgresql",
        "NAME": place.name,
        "USER": place.user,
        "PASSWORD": place.password,
        "HOST": place.hosts,
        "PORT": place.ports,
        # The engine looks at connections itself (`look`), and asks fewer of them than Django would.
        "CONN_HEALTH_CHECKS": False,
        "OPTIONS": options(place.options, role=role, connections=connections),
    }


def options(asked: Mapping[str, str], *, role: str, connections: int) -> dict[str, Any]:
    """What goes to libpq and to the pool. A commit is on disk before it is acknowledged: that is acceptance."""
    server = {
        "statement_timeout": f"{STATEMENT_S}s",
        "lock_timeout": "2s",
        "idle_in_transaction_session_timeout": "30s",
        "synchronous_commit": "on",
    }
    return {
        "pool": {
            "connection_class": BoundedConnection,
            "min_size": 1,
            "max_size": connections,
            "timeout": POOL_S,
            "max_waiting": 256,
            "max_idle": 60,
            "reconnect_timeout": 5,
        },
        "connect_timeout": CONNECT_S,
        "prepare_threshold": 5,  # or psycopg prepares no statement, not even those that ask for it
        "application_name": f"serving-{role or 'command'}",
        "tcp_user_timeout": 5000,
        "keepalives": 1,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "options": " ".join(f"-c {name}={value}" for name, value in server.items()),
        **asked,
    }


class Question:
    """Asks PostgreSQL for 1, on a connection of its own beside the pool, which others may have emptied."""

    def __init__(self) -> None:
        self._connection: psycopg.Connection[Any] | None = None

    def ask(self) -> Part:
        """Raises `psycopg.Error` when no answer came within `LIMIT_S` (2 s while connecting, libpq's least)."""
        with patience.at_most(0.9 * LIMIT_S):
            try:
                self._connected().execute("SELECT 1")
            except Exception:
                self.close()
                raise
        return Part(State.OK, "postgresql")

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            from django.db import connections

            wanted = connections["default"].get_connection_params()
            self._connection = BoundedConnection.connect(**{**wanted, "autocommit": True})
        return self._connection
