"""The pages and the JSON behind them: for staff who may look at records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from monitoring.pages import analysis, errors, links, overview, performance, status
from monitoring.pages import asked as asking
from monitoring.pages.asked import Asked, Choices, InvalidFilter
from monitoring.pages.seen import Seen
from monitoring.pages.sheet import Sheet


@dataclass(frozen=True, slots=True)
class Page:
    """`refresh_s`: seconds between two looks, 0 as the period says; one without filters shows all there is."""

    title: str
    compose: Callable[[Seen], Sheet]
    refresh_s: int = 0
    has_filters: bool = True


#: Path → page, in the order of the tabs.
PAGES = {
    "overview": Page("System overview", overview.page),
    "predictions": Page("Prediction analysis", analysis.page),
    "performance": Page("Performance", performance.page),
    "errors": Page("Errors", errors.page),
    "status": Page("Status", status.page, refresh_s=2, has_filters=False),
}
PERMISSION = "monitoring.view_recordrow"


def page(request: HttpRequest, name: str) -> HttpResponse:
    """A page with its first figures inside, so that it needs no second request to show something."""
    shown = _allowed(request, name)
    try:
        asked, choices = asking.read(request.GET.dict())
        fault = ""
    except InvalidFilter as error:
        asked, choices = asking.read({})
        fault = f"{error.field}: {error}"
    document = _document(name, asked)
    context = {
        "title": shown.title,
        "name": name,
        "asked": asked,
        "choices": choices,
        "fault": fault,
        "periods": asking.PERIODS.values(),
        "query": links.query(asked),
        "tabs": [(path, one.title) for path, one in PAGES.items()],
        "filters": _filters(asked, choices) if shown.has_filters else [],
        "document": document,
        "source": f"{reverse('watch-figures', args=[name])}?{links.query(asked)}",
    }
    request.current_app = admin.site.name
    context = {**admin.site.each_context(request), **context}
    return TemplateResponse(request, "monitoring/watching.html", context, status=400 if fault else 200)


def figures(request: HttpRequest, name: str) -> JsonResponse:
    """The figures alone, as the page asks for them again."""
    _allowed(request, name)
    try:
        asked, _ = asking.read(request.GET.dict())
    except InvalidFilter as error:
        return JsonResponse({"error": str(error), "field": error.field}, status=400)
    return JsonResponse(_document(name, asked), headers={"Cache-Control": "no-store"})


def _allowed(request: HttpRequest, name: str) -> Page:
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    if name not in PAGES:
        raise Http404
    return PAGES[name]


def _document(name: str, asked: Asked) -> dict[str, Any]:
    return {
        **PAGES[name].compose(Seen(asked)).as_json(),
        "period": asked.period.name,
        "refresh_s": PAGES[name].refresh_s or asked.period.refresh_s,
        "until": asked.until.isoformat(),
        "conditions": dict(asked.conditions),
        "time": links.time_conditions(asked),
        "records": links.records(),
    }


def _filters(asked: Asked, choices: Choices) -> list[dict[str, Any]]:
    """What the form offers; a model or version that is no longer there stays chosen."""
    shown: list[dict[str, Any]] = []
    for field, label, chosen, offered in (
        ("project", "Project", asked.project, choices.projects),
        ("model", "Model", asked.model, choices.models),
        ("version", "Version", str(asked.version or ""), tuple(map(str, choices.versions))),
    ):
        options = offered if not chosen or chosen in offered else (chosen, *offered)
        shown.append({"field": field, "label": label, "chosen": chosen, "options": options})
    return shown
