"""Celery only: retention of records and log lines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from celery import shared_task
from django.conf import settings
from django.utils.module_loading import import_string

from monitoring import exports, stores
from monitoring.logs.stores import open_log_store


@shared_task(name="monitoring.purge_records")
def purge_records() -> int:
    """Drop records past retention, in Elasticsearch by whole days; returns how many."""
    return stores.open_store().purge(datetime.now(UTC) - timedelta(seconds=settings.SERVING["RECORD_RETENTION_S"]))


@shared_task(name="monitoring.purge_logs")
def purge_logs() -> int:
    """Drop log lines past retention, in Elasticsearch by whole days; returns how many."""
    return open_log_store().purge(datetime.now(UTC) - timedelta(seconds=settings.SERVING["LOG_RETENTION_S"]))


@shared_task(name="monitoring.write_export")
def write_export(identifier: str) -> None:
    """Write the file of an export."""
    exports.write(UUID(identifier))


@shared_task(name="monitoring.keep_exports")
def keep_exports() -> int:
    """Drop exports past their time, and write those whose message or writer went missing; returns how many."""
    expired = exports.expire()
    for identifier in exports.waiting():
        exports.write(identifier)
    return expired


@shared_task(name="monitoring.finish_erasures")
def finish_erasures() -> int:
    """Finish erasures that the record store held up; returns how many."""
    finished: int = import_string(settings.FINISH_ERASURES)()
    return finished
