"""Records in the admin, wherever they are stored: searched like `/api/records`, searches saved, files exported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse

from monitoring import documents, exports, formats, stores, tasks
from monitoring.admin import readable
from monitoring.api import queries
from monitoring.api.errors import InvalidParameters
from monitoring.api.searches import visible
from monitoring.asked import Export, SavedSearch
from monitoring.pages.asked import offered
from monitoring.records import TERMINAL
from monitoring.stores.base import Page, StoreUnavailable

PERMISSION = "monitoring.view_recordrow"
COLOURS = {"succeeded": "success", "failed": "danger", "canceled": "warning", "aborted": "warning"}
_TEXTS = (
    ("model", "Model", "iris"),
    ("version", "Version", "2"),
    ("q", "Words of an error", "petal_width"),
    ("text", "Words of a text, asked or answered", "lukewarm"),
    ("value", "A value of the first instance", "input.petal_length:5..6 or output.label:setosa"),
    ("min_ms", "Took at least, ms", "100"),
    ("max_ms", "Took at most, ms", ""),
    ("since", "Accepted since (UTC)", "2026-03-01T12:00"),
    ("until", "Accepted before (UTC)", ""),
    ("error_code", "Error code", "model_error"),
    ("request_id", "Request id", ""),
    ("subject", "Subject", ""),
)
_CHOICES = (("status", "Status", TERMINAL), ("door", "Door", ("online", "queued")))
_ALWAYS = ("project", "model", "status", "q", "text", "value")
_KNOWN = frozenset([*queries.CONDITIONS, "value"])


def record_page(request: HttpRequest) -> HttpResponse:
    """The newest records that meet the conditions; POST saves the search, or starts an export of it."""
    _require(request)
    projects = offered("", "").projects
    project = request.GET.get("project") or (projects[0] if projects else "")
    if request.method == "POST":
        return _act(request, project)
    if _is_id(request.GET.get("q", "")):
        return redirect("record-detail", identifier=request.GET["q"].strip())
    conditions, faults, page = _conditions(request.GET), [], Page(())
    try:
        query = queries.read(_asked(request.GET), project=project)
        page = stores.open_store().search(query)
    except InvalidParameters as error:
        details: Any = error.detail
        faults = [f"{name}: {' '.join(map(str, said))}" for name, said in details.items()]
    except ValueError as error:
        faults = [f"cursor: {error}"]
    except StoreUnavailable:
        faults = ["The record store does not answer. What is recorded is safe; search again later."]
    return _page(
        request,
        "monitoring/records.html",
        title="Records",
        faults=faults,
        records=[_row(record) for record in page.records],
        projects=projects,
        texts=[(name, label, hint, request.GET.get(name, ""), name in _ALWAYS) for name, label, hint in _TEXTS],
        choices=[(name, label, options, request.GET.get(name, "")) for name, label, options in _CHOICES],
        is_narrowed=any(request.GET.get(name) for name in _KNOWN - set(_ALWAYS)),
        conditions=conditions,
        here=_link(project, conditions),
        older=_link(project, conditions, cursor=page.cursor) if page.cursor else "",
        newest=_link(project, conditions) if request.GET.get("cursor") else "",
        searches=_searches(request, project),
        formats=formats.FORMATS,
        streams=[(form, _stream(project, conditions, form)) for form in formats.FORMATS],
        **_exports(project),
    )


def one_record(request: HttpRequest, identifier: UUID) -> HttpResponse:
    """One record whole, by its id alone: people of the staff see every project."""
    _require(request)
    record = stores.open_store().get(request.GET.get("project") or None, identifier)
    if record is None:
        raise Http404
    document = documents.to_document(record)
    hidden = ("inputs", "outputs", "values", "error")
    return _page(
        request,
        "monitoring/record.html",
        title=f"Record {record.id}",
        record=record,
        colour=COLOURS.get(record.status, ""),
        fields=[
            (name.replace("_", " "), value) for name, value in document.items() if name not in hidden and value != ""
        ],
        inputs=readable(record.inputs),
        outputs=readable(record.outputs),
        back=_link(record.project, ""),
    )


def export_list(request: HttpRequest) -> HttpResponse:
    """The part of the page that changes while files are written."""
    _require(request)
    return _page(request, "monitoring/record_exports.html", **_exports(request.GET.get("project", "")))


def export_file(request: HttpRequest, identifier: UUID) -> FileResponse:
    _require(request)
    export = get_object_or_404(Export, pk=identifier, state=Export.State.READY)
    try:
        file = exports.path_of(export).open("rb")
    except FileNotFoundError as error:
        raise Http404 from error
    return FileResponse(
        file, as_attachment=True, filename=f"records.{export.format}", content_type=formats.MEDIA_TYPES[export.format]
    )


def _act(request: HttpRequest, project: str) -> HttpResponse:
    verbs: dict[str, Callable[[HttpRequest, str, str], None]] = {
        "save": _save,
        "forget": _forget,
        "export": _export,
        "remove": _remove,
    }
    verb = verbs.get(request.POST.get("verb", ""))
    conditions = _conditions(request.GET)
    if verb is None:
        raise Http404
    try:
        verb(request, project, conditions)
    except InvalidParameters as error:
        messages.error(request, f"The conditions are faulty: {error.detail}")
    return redirect(_link(project, conditions))


def _save(request: HttpRequest, project: str, conditions: str) -> None:
    name = request.POST.get("name", "").strip()[:64]
    exports.query_of(project, conditions)
    if not name:
        messages.error(request, "A saved search needs a name.")
        return
    try:
        with transaction.atomic():
            SavedSearch.objects.create(
                project=project,
                owner=_owner(request),
                name=name,
                conditions=conditions,
                is_shared="shared" in request.POST,
            )
    except IntegrityError:
        messages.error(request, f"You have a search named {name}.")
    else:
        messages.success(request, f"Saved as {name}.")


def _forget(request: HttpRequest, project: str, conditions: str) -> None:
    del conditions
    mine = SavedSearch.objects.filter(
        project=project, owner=_owner(request), pk=_number(request.POST.get("search", ""))
    )
    if mine.delete()[0]:
        messages.success(request, "The search is removed.")


def _export(request: HttpRequest, project: str, conditions: str) -> None:
    form = request.POST.get("format", "")
    if form not in formats.FORMATS:
        raise Http404
    try:
        export = exports.ask(project, who=_owner(request), form=form, conditions=conditions)
    except exports.TooManyExports as error:
        messages.error(request, str(error))
        return
    try:
        tasks.write_export.delay(str(export.pk))
    except Exception:
        exports.remove(export)
        messages.error(request, "No worker could be told of the export; ask again later.")


def _remove(request: HttpRequest, project: str, conditions: str) -> None:
    del conditions
    try:
        identifier = UUID(request.POST.get("export", ""))
    except ValueError as error:
        raise Http404 from error
    exports.remove(get_object_or_404(Export, pk=identifier, project=project))


def _require(request: HttpRequest) -> None:
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied


def _owner(request: HttpRequest) -> str:
    """The name under which the API knows this person, too."""
    return f"user:{request.user.get_username()}"


def _page(request: HttpRequest, template: str, **context: Any) -> TemplateResponse:
    request.current_app = admin.site.name
    return TemplateResponse(request, template, {**admin.site.each_context(request), **context})


def _asked(parameters: QueryDict) -> QueryDict:
    """The form's parameters as the API takes them: what was not filled in is absent."""
    found = QueryDict(_conditions(parameters), mutable=True)
    if parameters.get("cursor"):
        found["cursor"] = str(parameters["cursor"])
    return found


def _conditions(parameters: QueryDict) -> str:
    """What narrows the search, as a query string; unknown names stay out."""
    pairs = [
        (name, text.strip())
        for name, texts in parameters.lists()
        if name in _KNOWN
        for text in texts
        if str(text).strip()
    ]
    return urlencode(pairs)


def _link(project: str, conditions: str, **more: str | None) -> str:
    parts = [
        urlencode({"project": project}),
        conditions,
        urlencode({name: text for name, text in more.items() if text}),
    ]
    return f"{reverse('record-page')}?{'&'.join(part for part in parts if part)}"


def _stream(project: str, conditions: str, form: str) -> str:
    address = reverse("record-stream", kwargs={"form": form})
    return f"{address}?{'&'.join(part for part in (urlencode({'project': project}), conditions) if part)}"


def _row(record: Any) -> dict[str, Any]:
    values = [value for value in record.values if value.side == "output"][:2]
    return {
        "record": record,
        "colour": COLOURS.get(record.status, ""),
        "answer": ", ".join(f"{one.name} {one.text if one.number is None else f'{one.number:.4g}'}" for one in values),
        "link": f"{reverse('record-detail', args=[record.id])}?{urlencode({'project': record.project})}",
    }


def _searches(request: HttpRequest, project: str) -> list[dict[str, Any]]:
    owner = _owner(request)
    return [
        {"search": search, "link": _link(project, search.conditions), "is_mine": search.owner == owner}
        for search in visible(project, owner)
    ]


def _exports(project: str) -> dict[str, Any]:
    rows = list(Export.objects.filter(project=project)[:10])
    under_way = any(row.state in (Export.State.WAITING, Export.State.RUNNING) for row in rows)
    return {"exports": rows, "is_writing": under_way, "project": project}


def _is_id(text: str) -> bool:
    try:
        return bool(UUID(text.strip()))
    except ValueError:
        return False


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def _wrapped(view: Callable[..., Any]) -> Any:
    return admin.site.admin_view(view)


urlpatterns = [
    path("", _wrapped(record_page), name="record-page"),
    path("exports", _wrapped(export_list), name="record-export-list"),
    path("exports/<uuid:identifier>", _wrapped(export_file), name="record-export-download"),
    path("<uuid:identifier>", _wrapped(one_record), name="record-detail"),
]
