"""Where log lines are kept: one port (`base.LogStore`), an implementation per place."""

from __future__ import annotations

from django.conf import settings
from django.utils.module_loading import import_string

from monitoring.logs.stores.base import LogStore


def open_log_store() -> LogStore:
    """The log store the settings choose. Cheap: it may be called for every use."""
    store: LogStore = import_string(settings.LOG_STORE)()
    return store
