"""Erase by subject: ledger, hot results, spool, records and exports, in an order that leaves nothing behind."""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.db import connection, transaction
from django.utils import timezone

from monitoring import erasures, exports, privacy, stores
from monitoring.asked import Erasure, Export
from monitoring.stores.base import StoreUnavailable
from predictions.models import Prediction
from predictions.queued import aftermath, ledger, results

logger = logging.getLogger(__name__)

AT_ONCE = 500


def erase(project: str, subject: str, *, who: str, why: str = "") -> Erasure:
    """Delete what is kept of a subject (as clients named it in `X-Subject-ID`) up to now; returns the receipt.

    Without the record store the receipt comes unfinished: `finish_all` does the rest later.
    """
    order = Erasure.objects.create(
        project=project,
        subject=privacy.subject_of(subject, project=project, key=settings.PRIVACY_KEY),
        who=who,
        why=why,
    )
    try:
        finish(order)
    except StoreUnavailable as error:
        logger.warning("erasure %s waits for the record store: %s", order.pk, error, extra={"action": "erasure_waits"})
    return order


def finish(order: Erasure) -> None:
    """Do what the order says; may be repeated. Raises `StoreUnavailable`.

    The ledger before the records: a row that is gone makes no record, and the record of one that was under way is
    dropped by its writer, which looks for orders. Calls in the spool likewise.
    """
    _add(order, _of_ledger(order))
    _add(order, {"exports": _exports(order)})
    _add(order, {"records": erasures.remove_records(stores.open_store(), order)})
    order.finished_at = timezone.now()
    order.save(update_fields=["finished_at"])
    logger.info("erasure %s is done: %s", order.pk, order.counts, extra={"action": "erased"})


def finish_all() -> int:
    """Finish orders that the record store held up; returns how many."""
    done = 0
    for order in Erasure.objects.filter(finished_at=None):
        try:
            finish(order)
            done += 1
        except StoreUnavailable:
            break
    return done


def _add(order: Erasure, counts: dict[str, int]) -> None:
    for place, number in counts.items():
        order.counts[place] = order.counts.get(place, 0) + number
    order.save(update_fields=["counts"])


def _of_ledger(order: Erasure) -> dict[str, int]:
    """Cancel what is open, forget the hot results, delete the rows."""
    counts = {"canceled": 0, "ledger": 0, "cache": 0}
    rows = Prediction.objects.filter(project=order.project, subject=order.subject, accepted_at__lte=order.asked_at)
    while found := list(rows.order_by("id").values_list("id", "project_id", "status")[:AT_ONCE]):
        open_ones = [(pk, project_id) for pk, project_id, status in found if status in ("starting", "processing")]
        canceled = [pk for pk, project_id in open_ones if ledger.cancel(project_id, pk)]
        if canceled:
            aftermath.tell(canceled)  # who waits for one is told
        counts["canceled"] += len(canceled)
        counts["cache"] += _forget([pk for pk, _, _ in found])
        with transaction.atomic():
            chosen: Any = Prediction.objects.filter(pk__in=[pk for pk, _, _ in found])
            counts["ledger"] += chosen._raw_delete(connection.alias)
    return counts


def _forget(identifiers: list[Any]) -> int:
    """Hot results; a cache that is away lets them expire by themselves."""
    keys = [results.key_of(identifier) for identifier in identifiers]
    try:
        there = len(caches["results"].get_many(keys))
        caches["results"].delete_many(keys)
    except Exception:
        logger.warning("hot results were not erased; they expire", extra={"action": "hot_results_down"}, exc_info=True)
        return 0
    return there


def _exports(order: Erasure) -> int:
    """Files made before the order may hold the subject's records."""
    made = list(Export.objects.filter(project=order.project, created_at__lte=order.asked_at))
    for export in made:
        exports.remove(export)
    return len(made)
