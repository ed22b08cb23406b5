"""Celery only: retention of records."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from celery import shared_task
from django.conf import settings

from monitoring import stores


@shared_task(name="monitoring.purge_records")
def purge_records() -> int:
    """Drop records past retention, in Elasticsearch by whole days; returns how many."""
    return stores.open_store().purge(datetime.now(UTC) - timedelta(seconds=settings.SERVING["RECORD_RETENTION_S"]))
