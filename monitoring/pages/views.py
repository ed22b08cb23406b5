"""The pages and the JSON behind them: for staff who may look at records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from monitoring.pages import analysis, errors, links, overview, performance
from monitoring.pages import asked as asking
from monitoring.pages.asked import Asked, Choices, InvalidFilter
from monitoring.pages.seen import Seen
from monitoring.pages.sheet import Sheet

#: Path → title, what it answers, what composes it.
PAGES: dict[str, tuple[str, str, Callable[[Seen], Sheet]]] = {
    "overview": ("System overview", "Is it well, how much comes in, what waits, what is used.", overview.page),
    "predictions": ("Prediction analysis", "Which models answer, and what they answer.", analysis.page),
    "performance": ("Performance", "How long predictions take, and where the time goes.", performance.page),
    "errors": ("Errors", "Which errors, of which versions, since when.", errors.page),
}
PERMISSION = "monitoring.view_recordrow"


def page(request: HttpRequest, name: str) -> HttpResponse:
    """A page with its first figures inside, so that it needs no second request to show something."""
    title, says, _ = _allowed(request, name)
    try:
        asked, choices = asking.read(request.GET.dict())
        fault = ""
    except InvalidFilter as error:
        asked, choices = asking.read({})
        fault = f"{error.field}: {error}"
    document = _document(name, asked)
    context = {
        "title": title,
        "says": says,
        "name": name,
        "asked": asked,
        "choices": choices,
        "fault": fault,
        "periods": asking.PERIODS.values(),
        "query": links.query(asked),
        "tabs": [(path, shown[0]) for path, shown in PAGES.items()],
        "filters": _filters(asked, choices),
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


def _allowed(request: HttpRequest, name: str) -> tuple[str, str, Callable[[Seen], Sheet]]:
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    if name not in PAGES:
        raise Http404
    return PAGES[name]


def _document(name: str, asked: Asked) -> dict[str, Any]:
    return {
        **PAGES[name][2](Seen(asked)).as_json(),
        "period": asked.period.name,
        "refresh_s": asked.period.refresh_s,
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
