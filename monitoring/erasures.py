"""Erasure by subject, as far as records go: the order, which is its receipt, and what arrives after it.

An order is committed before anything is deleted, and whoever stores a record looks for orders afterwards. So a record
that was on its way is either seen by the deletion or by its writer.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.db.models import F

from monitoring.asked import Erasure
from monitoring.records import Record
from monitoring.stores.base import Query, RecordStore

#: A query's end is exclusive, an order holds for what was accepted up to its own moment.
_MOMENT = timedelta(milliseconds=1)


def remove_records(store: RecordStore, order: Erasure) -> int:
    """Delete the stored records of an order's subject, up to the moment it was given; returns how many."""
    until = order.asked_at + _MOMENT
    return store.remove(Query(project=order.project, subject=order.subject, until=until))


def drop_late(store: RecordStore, stored: Iterable[Record]) -> int:
    """Delete again what was stored of subjects that are erased; returns how many records went."""
    seen: dict[str, Record] = {}
    for record in stored:
        if record.subject and (record.subject not in seen or record.accepted_at < seen[record.subject].accepted_at):
            seen[record.subject] = record
    dropped = 0
    orders = Erasure.objects.filter(subject__in=list(seen)) if seen else ()
    for order in orders:
        record = seen[order.subject]
        if record.project == order.project and record.accepted_at <= order.asked_at:
            removed = remove_records(store, order)
            Erasure.objects.filter(pk=order.pk).update(late=F("late") + removed)
            dropped += removed
    return dropped
