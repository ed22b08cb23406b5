"""Where records live for good: one port (`base.RecordStore`), an implementation per place."""

from __future__ import annotations

from monitoring.stores.base import RecordStore


def open_store() -> RecordStore:
    """The record store the settings choose. Cheap: it may be called for every use."""
    from monitoring.stores.database import DatabaseStore

    return DatabaseStore()
