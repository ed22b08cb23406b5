"""The log in the admin: searched like `/api/logs`, each line beside what it is about."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, QueryDict
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.dateparse import parse_datetime

from monitoring.api import log_queries
from monitoring.api.errors import InvalidParameters
from monitoring.api.logs import PERMISSION
from monitoring.logs.foreign import KINDS
from monitoring.logs.lines import LEVELS, LogLine
from monitoring.logs.stores import open_log_store
from monitoring.logs.stores.base import LogPage, LogQuery
from monitoring.stores.base import StoreUnavailable

SERVICES = ("server", "recorder", "web", "worker", "keeper", "beat", *KINDS)
PERIODS = {"15m": ("15 minutes", 900), "1h": ("hour", 3600), "24h": ("day", 86_400), "7d": ("week", 604_800)}
_COLOURS = {"debug": "", "info": "info", "warning": "warning", "error": "danger", "critical": "danger"}
_IDS = (
    ("request_id", "Request id"),
    ("prediction_id", "Prediction id"),
    ("trace_id", "Trace id"),
    ("project", "Project"),
    ("model", "Model"),
    ("action", "Action"),
)
#: Fields that a line shows in its own places.
_SHOWN_ELSEWHERE = frozenset(["@timestamp", "log.level", "message", "error.stack_trace", "ecs.version"])


def log_page(request: HttpRequest) -> HttpResponse:
    """The newest lines that meet the filters, and a link to older ones."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    faults: list[str] = []
    page = LogPage(())
    try:
        page = open_log_store().search(_query(request.GET))
    except InvalidParameters as error:
        details: Any = error.detail
        faults = [f"{name}: {' '.join(map(str, said))}" for name, said in details.items()]
    except ValueError as error:
        faults = [f"cursor: {error}"]
    except StoreUnavailable:
        faults = ["The log store does not answer. Lines wait in the spool and are found when it is back."]
    context = {
        "title": "Log",
        "faults": faults,
        "lines": [_shown(line, request.GET) for line in page.lines],
        "levels": list(LEVELS),
        "services": SERVICES,
        "periods": [(name, text) for name, (text, _) in PERIODS.items()],
        "asked": {name: request.GET.get(name, "") for name in ("q", "level", "service", "period")},
        "ids": [(name, label, request.GET.get(name, "")) for name, label in _IDS],
        "is_narrowed": any(request.GET.get(name) for name, _ in _IDS),
        "older": _link(request.GET, cursor=page.cursor) if page.cursor else "",
        "newest": _link(request.GET) if request.GET.get("cursor") else "",
    }
    request.current_app = admin.site.name
    return TemplateResponse(request, "monitoring/logs.html", {**admin.site.each_context(request), **context})


def _query(asked: QueryDict) -> LogQuery:
    project = asked.get("project", "").strip() or None
    query = log_queries.read(asked, project=project, others=("project", "period"), empty_is_absent=True)
    period = asked.get("period", "")
    if period and period not in PERIODS:
        raise InvalidParameters({"period": [f"one of {', '.join(PERIODS)} is needed"]})
    if not period or query.since is not None:
        return query
    return replace(query, since=datetime.now(UTC) - timedelta(seconds=PERIODS[period][1]))


def _shown(line: LogLine, asked: QueryDict) -> dict[str, Any]:
    level, prediction = line.text("log.level"), line.text("labels.prediction_id")
    return {
        "id": str(line.id),
        "at": parse_datetime(line.text("@timestamp")),
        "level": level,
        "colour": _COLOURS[level],
        "service": line.text("service.name"),
        "message": line.text("message"),
        "status": line.text("http.response.status_code"),
        "took": _took(line),
        "stack": line.text("error.stack_trace"),
        "record": reverse("admin:monitoring_recordrow_change", args=[prediction]) if _is_uuid(prediction) else "",
        "about": [
            (label, line.text(field), _link(asked, **{name: line.text(field)}))
            for name, label, field in (
                ("prediction_id", "prediction", "labels.prediction_id"),
                ("request_id", "request", "http.request.id"),
                ("trace_id", "trace", "trace.id"),
            )
            if line.text(field)
        ],
        "fields": [
            (name, value if isinstance(value, str) else json.dumps(value))
            for name, value in sorted(line.fields.items())
            if name not in _SHOWN_ELSEWHERE
        ],
    }


def _took(line: LogLine) -> str:
    nanoseconds = line.fields.get("event.duration")
    return f"{nanoseconds / 1e6:.1f} ms" if isinstance(nanoseconds, int) else ""


def _is_uuid(text: str) -> bool:
    try:
        return bool(UUID(text))
    except ValueError:
        return False


def _link(asked: QueryDict, **changed: str | None) -> str:
    """This page with some filters changed, from its newest lines on unless a cursor is among them."""
    found = QueryDict(mutable=True)
    found.update({name: str(value) for name, value in asked.items() if value and name != "cursor"})
    for name, value in changed.items():
        if value:
            found[name] = value
    return f"?{found.urlencode()}"


urlpatterns = [path("", admin.site.admin_view(log_page), name="log-page")]
