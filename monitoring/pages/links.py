"""Where a number leads: the page of records with its filters set to what the number counts."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.urls import reverse

from monitoring.pages.asked import Asked

#: Condition of a search → parameter of the records page.
_PARAMETERS = {
    "project": "project",
    "model": "model",
    "version": "version",
    "status": "status__exact",
    "door": "door__exact",
    "error_code": "error_code",
    "since": "accepted_at__gte",
    "until": "accepted_at__lt",
    "min_ms": "total_ms__gte",
    "max_ms": "total_ms__lte",
    "value": "q",
}


def records() -> dict[str, Any]:
    """Where records are listed and how each condition is called there: the browser puts an address together from it."""
    if settings.RECORD_STORE.endswith("DatabaseStore"):
        return {"url": reverse("admin:monitoring_recordrow_changelist"), "parameters": _PARAMETERS}
    return {"url": reverse("record-page"), "parameters": {name: name for name in _PARAMETERS}}


def record(identifier: Any) -> str:
    return reverse("admin:monitoring_recordrow_change", args=[identifier])


def query(asked: Asked) -> str:
    """The filters as a query string."""
    return urlencode({**asked.conditions, "period": asked.period.name})


def time_conditions(asked: Asked) -> dict[str, str]:
    return {"since": f"{asked.since:%Y-%m-%dT%H:%M:%SZ}", "until": f"{asked.until:%Y-%m-%dT%H:%M:%SZ}"}
