"""The port to the record store: where records live for good and are searched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Protocol
from uuid import UUID

from monitoring.records import Record
from monitoring.stores.timeline import Timeline


class Outcome(Enum):
    """What became of one record in a bulk create; every item is judged by itself."""

    STORED = "stored"  # it is there now
    DUPLICATE = "duplicate"  # it was there already, with the same content: as good as stored
    CONFLICT = "conflict"  # another content stands under this id: an alarm, never overwritten
    RETRY = "retry"  # the store could not take it now; the source keeps it
    REJECTED = "rejected"  # the store will never take it in this shape


class StoreUnavailable(Exception):
    """The store did not answer in time, or answered that it cannot; nothing is known of the batch."""


@dataclass(frozen=True, slots=True)
class Range:
    """A condition on one named value of the first instance; bounds are inclusive, None is open."""

    side: str
    name: str
    least: float | None = None
    most: float | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """A search: every condition given must hold.

    `text` is looked for in the texts of the first instance, inputs and outputs; `subject` is the keyed hash.
    `project` has no default, so that no search crosses projects by mistake: None is for people who may see all.
    """

    project: str | None
    model: str | None = None
    version: int | None = None
    status: str | None = None
    door: str | None = None
    error_code: str | None = None
    error_text: str | None = None
    request_id: str | None = None
    subject: str | None = None
    text: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    least_ms: float | None = None
    most_ms: float | None = None
    values: tuple[Range, ...] = ()
    limit: int = 50
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Newest first. `cursor` continues behind the last record, None at the end."""

    records: tuple[Record, ...]
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """Records of one model and version in one stretch of time that begins at `start`."""

    start: datetime
    model: str
    version: int
    status: str
    count: int
    facts: dict[str, Any] = field(default_factory=dict)


class RecordStore(Protocol):
    """Contract-tested against every implementation in `tests/contracts`.

    `at_once` is how many creates may be under way at the same time: more than one where the work is done elsewhere.
    """

    at_once: int = 1

    def create(self, records: Sequence[Record]) -> list[Outcome]:
        """Add records, each at most once by id; the answer has one outcome per record, in order.

        Raises `StoreUnavailable` when nothing is known of the batch.
        """
        ...

    def get(self, project: str | None, identifier: UUID) -> Record | None:
        """The record with this id, or None; of this project alone, unless it is None as in a query."""
        ...

    def search(self, query: Query) -> Page:
        """Records that meet the query, newest first. Raises `ValueError` for a cursor not made here."""
        ...

    def counts(self, query: Query, *, seconds: int) -> list[Count]:
        """Numbers per model, version and status over stretches of `seconds`, oldest first; bounded to 10,000."""
        ...

    def timeline(self, query: Query, *, start: datetime, end: datetime, buckets: int, outputs: bool = True) -> Timeline:
        """How what meets the query went from `start` to before `end`, in equal buckets (`monitoring.stores.timeline`).

        Without `outputs`, classes and numbers are left empty: reading them is most of the work.
        The query's own `since`, `until`, `limit` and `cursor` are not looked at. Raises `ValueError` for more than
        500 buckets or an end that is not after the start.
        """
        ...

    def present(self, identifiers: Sequence[UUID]) -> set[UUID]:
        """Which of these ids are stored: what the ledger asks before it purges."""
        ...

    def count(self, query: Query) -> int:
        """How many records meet the query."""
        ...

    def stream(self, query: Query) -> Iterator[dict[str, Any]]:
        """Documents of all records that meet the query, oldest first, with a bounded number of them in memory.

        Records that are stored while it runs may be among them. Raises `StoreUnavailable`, perhaps midway.
        """
        ...

    def remove(self, query: Query) -> int:
        """Delete what meets the query; what was stored before the call is gone after it. Returns how many."""
        ...

    def purge(self, before: datetime) -> int:
        """Drop what is older; returns how many."""
        ...
