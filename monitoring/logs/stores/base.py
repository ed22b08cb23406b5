"""The port to the log store: where lines are kept for a while and searched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from monitoring.logs.lines import LogLine
from monitoring.stores.base import Outcome

__all__ = ["LogPage", "LogQuery", "LogStore", "Outcome"]


@dataclass(frozen=True, slots=True)
class LogQuery:
    """A search: every condition given must hold. `project` None searches the lines of all projects and of none.

    `text` are words that must all stand in the message or the error; `level` is the least one.
    """

    project: str | None = None
    text: str | None = None
    level: str | None = None
    service: str | None = None
    action: str | None = None
    model: str | None = None
    request_id: str | None = None
    prediction_id: str | None = None
    trace_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 50
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class LogPage:
    """Newest first. `cursor` continues behind the last line, None at the end; a page may be short and have one."""

    lines: tuple[LogLine, ...]
    cursor: str | None = None


class LogStore(Protocol):
    """Contract-tested against every implementation in `tests/contracts`."""

    def add(self, lines: Sequence[LogLine]) -> list[Outcome]:
        """Keep lines, each once by id: STORED, DUPLICATE, RETRY or REJECTED per line, in order.

        Raises `StoreUnavailable` when nothing is known of the batch.
        """
        ...

    def get(self, identifier: UUID) -> LogLine | None:
        """The line with this id, or None."""
        ...

    def search(self, query: LogQuery) -> LogPage:
        """Lines that meet the query, newest first. Raises `ValueError` for a cursor not made here."""
        ...

    def purge(self, before: datetime) -> int:
        """Drop what is older; returns how many."""
        ...
