"""Django's engine for SQLite with its statements counted, and its writers in a queue, not polling."""

from __future__ import annotations

from typing import Any

from django.db import OperationalError
from django.db.backends.sqlite3 import base

from serving_site.engines import counting
from serving_site.engines.sqlite3 import turns

_CURSOR = base.SQLiteCursorWrapper


class DatabaseWrapper(base.DatabaseWrapper):
    """Every transaction is one that writes (BEGIN IMMEDIATE): it holds the turn from its beginning to its end."""

    _holds_turn = False

    def get_new_connection(self, conn_params: Any) -> Any:
        counting.connecting(self.alias, self.vendor)
        try:
            return super().get_new_connection(conn_params)
        except Exception:
            counting.not_connected(self.alias, self.vendor)
            raise

    def create_cursor(self, name: str | None = None) -> Any:
        return self.connection.cursor(factory=counting.counted(_CURSOR, self.alias, self.vendor))

    def _start_transaction_under_autocommit(self) -> None:
        if not self._holds_turn and not self._turns.take(turns.WAIT_S):
            raise OperationalError("database is locked: another writer did not finish in time")
        self._holds_turn = True
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]
        except BaseException:
            self._leave()
            raise

    def _commit(self) -> None:
        super()._commit()  # type: ignore[misc]  # fails, and the turn is kept: the transaction is still open
        self._leave()

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]
        finally:
            self._leave()

    def _close(self) -> None:
        try:
            super()._close()  # type: ignore[misc]
        finally:
            self._leave()

    @property
    def _turns(self) -> turns.Turns:
        return turns.at(str(self.settings_dict["NAME"]))

    def _leave(self) -> None:
        if self._holds_turn:
            self._holds_turn = False
            self._turns.leave()
