"""Where records live for good: one port (`base.RecordStore`), an implementation per place."""

from __future__ import annotations

from django.conf import settings
from django.utils.module_loading import import_string

from monitoring.stores.base import RecordStore


def open_store() -> RecordStore:
    """The record store the settings choose. Cheap: it may be called for every use."""
    store: RecordStore = import_string(settings.RECORD_STORE)()
    return store
