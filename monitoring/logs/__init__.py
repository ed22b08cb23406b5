"""Logs: one JSON object a line, on stdout and through a spool into the log store, found by what they are about."""

from __future__ import annotations

from monitoring.logs.access import AccessLog
from monitoring.logs.configuration import configure
from monitoring.logs.context import about, name_prediction

__all__ = ["AccessLog", "about", "configure", "name_prediction"]
