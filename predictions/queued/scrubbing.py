"""What a protected row may not keep: its input once its record is made, its output once its client had an hour."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from models_registry.models import ModelVersion
from predictions import protection
from predictions.models import Prediction
from predictions.queued.database import writing

#: Rows that are rewritten in one transaction.
AT_ONCE = 200


def scrub_inputs(ids: Sequence[UUID]) -> int:
    """Protect inputs and errors of rows whose records were just stored; returns how many rows changed."""
    protected = _protected_versions()
    if not protected or not ids:
        return 0
    rows = Prediction.objects.filter(id__in=ids, version_id__in=protected, recorded_at__isnull=False)
    return _rewrite(rows.only("id", "version_id", "input", "error"), outputs=False)


def scrub_outputs() -> int:
    """Protect outputs of rows that ended longer ago than answers are kept hot; returns how many rows changed."""
    protected = _protected_versions()
    if not protected:
        return 0
    ended = timezone.now() - timedelta(seconds=settings.SERVING["RESULT_TTL"])
    rows = Prediction.objects.filter(
        version_id__in=protected, completed_at__lt=ended, recorded_at__isnull=False, output__isnull=False
    )
    return _rewrite(rows.only("id", "version_id", "output").iterator(chunk_size=AT_ONCE), outputs=True)


def _rewrite(rows: Iterable[Prediction], *, outputs: bool) -> int:
    changed: list[Prediction] = []
    count = 0
    fields = ["output"] if outputs else ["input", "error"]
    for row in rows:
        before = _held(row, outputs=outputs)
        guard = protection.guard_of_row(row.version_id)
        if guard is None:
            continue
        if outputs:
            row.output = guard.answered(bytes(row.output or b""), protection.classes_of_row(row.version_id))
        else:
            row.input, row.error = guard.asked(bytes(row.input)), guard.error(row.error)
        if _held(row, outputs=outputs) != before:
            changed.append(row)
        if len(changed) >= AT_ONCE:
            count, changed = count + _save(changed, fields), []
    return count + _save(changed, fields)


def _held(row: Prediction, *, outputs: bool) -> tuple[object, ...]:
    return (bytes(row.output or b""),) if outputs else (bytes(row.input), row.error)


def _save(rows: list[Prediction], fields: list[str]) -> int:
    if not rows:
        return 0
    with writing():
        return Prediction.objects.bulk_update(rows, fields)


def _protected_versions() -> list[UUID]:
    return list(ModelVersion.objects.exclude(model__privacy={}).values_list("pk", flat=True))
