"""Where a number leads: the page of records with its filters set to what the number counts."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from monitoring.pages.asked import Asked


def records() -> str:
    """The page of records: it calls its conditions as the API does, and the browser adds them."""
    return reverse("record-page")


def record(identifier: Any) -> str:
    return reverse("record-detail", args=[identifier])


def query(asked: Asked) -> str:
    """The filters as a query string."""
    return urlencode({**asked.conditions, "period": asked.period.name})


def time_conditions(asked: Asked) -> dict[str, str]:
    return {"since": f"{asked.since:%Y-%m-%dT%H:%M:%SZ}", "until": f"{asked.until:%Y-%m-%dT%H:%M:%SZ}"}
