"""Celery only: retention of records and log lines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from celery import shared_task
from django.conf import settings

from monitoring import stores
from monitoring.logs.stores import open_log_store


@shared_task(name="monitoring.purge_records")
def purge_records() -> int:
    """Drop records past retention, in Elasticsearch by whole days; returns how many."""
    return stores.open_store().purge(datetime.now(UTC) - timedelta(seconds=settings.SERVING["RECORD_RETENTION_S"]))


@shared_task(name="monitoring.purge_logs")
def purge_logs() -> int:
    """Drop log lines past retention, in Elasticsearch by whole days; returns how many."""
    return open_log_store().purge(datetime.now(UTC) - timedelta(seconds=settings.SERVING["LOG_RETENTION_S"]))
