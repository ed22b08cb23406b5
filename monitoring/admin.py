"""Records in the admin: looked at and searched, never changed; no page counts the table or reads all of it."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import admin
from django.db.models import Exists, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.paginator import InfinitePaginator

from monitoring import asked_admin, documents
from monitoring.api import queries
from monitoring.models import RecordRow
from monitoring.stores.database import MOST_SCANNED
from monitoring.stores.database_queries import matching_values

#: Characters of inputs or outputs that a page shows.
_SHOWN = 20_000
__all__ = ["RecordAdmin", "asked_admin", "readable"]

_COLOURS = {"succeeded": "success", "failed": "danger", "canceled": "warning", "aborted": "warning"}


def _in_the_database() -> bool:
    return bool(settings.RECORD_STORE.endswith("DatabaseStore"))


@admin.register(RecordRow)
class RecordAdmin(ModelAdmin):
    list_display = ["short_id", "project", "model", "version", "state", "door", "took", "accepted_at", "error_code"]
    list_display_links = ["short_id"]
    list_filter = ["status", "door"]
    search_fields = ["id"]
    search_help_text = (
        "An id, a model (iris, demo/iris), a value (input.petal_length:5..6, output.label:setosa), "
        f"or a word of an error; among the newest {MOST_SCANNED:,} records."
    )
    ordering = ["-id"]
    list_per_page = 50
    show_full_result_count = False
    paginator = InfinitePaginator
    fieldsets = [
        (None, {"fields": ["id", "state", "project", "key", "request_id", "trace", "log"]}),
        ("Answered by", {"fields": ["model", "version", "digest", "route", "door", "protocol", "rows"]}),
        ("Times", {"fields": ["accepted_at", "completed_at", "queue_ms", "inference_ms", "total"]}),
        ("Error", {"fields": ["error_code", "error"]}),
        ("Asked", {"fields": ["inputs"]}),
        ("Answered", {"fields": ["outputs"]}),
        ("Searchable values", {"fields": ["values"]}),
    ]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The table, where records live in one; else the search of the record store."""
        if _in_the_database():
            page: HttpResponse = super().changelist_view(request, extra_context)
            return page
        return redirect(f"{reverse('record-page')}?{request.GET.urlencode()}")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        identifier = _uuid(object_id)
        if _in_the_database() or identifier is None:
            page: HttpResponse = super().change_view(request, object_id, form_url, extra_context)
            return page
        return redirect("record-detail", identifier=identifier)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[RecordRow]:
        """The list does not read the documents; the page of one record does."""
        rows: QuerySet[RecordRow] = super().get_queryset(request)
        match = request.resolver_match
        return rows if match is None or (match.url_name or "").endswith("_change") else rows.defer("document", "error")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[RecordRow], search_term: str
    ) -> tuple[QuerySet[RecordRow], bool]:
        """Every word must hold: an id, a model's name, a range of a value, or text within the error."""
        words = search_term.replace("\0", "").split()[:5]
        identifier = _uuid(words[0]) if len(words) == 1 else None
        if identifier is not None:
            return queryset.filter(pk=identifier), False
        if not words and not queryset.query.where:
            return queryset, False
        boundary = RecordRow.objects.order_by("-id").values_list("id", flat=True)[MOST_SCANNED - 1 : MOST_SCANNED]
        for oldest in boundary:
            queryset = queryset.filter(id__gte=oldest)
        for word in words:
            queryset = queryset.filter(_condition(word))
        return queryset, False

    @display(description="id")
    def short_id(self, row: RecordRow) -> str:
        return str(row.pk)

    @display(description="status", label=_COLOURS)
    def state(self, row: RecordRow) -> str:
        return row.status

    @display(description="took", ordering=None)
    def took(self, row: RecordRow) -> str:
        return f"{row.total_ms:.1f} ms"

    @display(description="total")
    def total(self, row: RecordRow) -> str:
        return f"{row.total_ms:.3f} ms"

    @display(description="trace")
    def trace(self, row: RecordRow) -> str:
        return str(_document(row).get("trace_id") or "–")

    @display(description="log")
    def log(self, row: RecordRow) -> SafeString:
        address = f"{reverse('log-page')}?prediction_id={row.pk}"
        return format_html('<a class="sb-link" href="{}">What was logged about it</a>', address)

    @display(description="queued for")
    def queue_ms(self, row: RecordRow) -> str:
        return f"{_document(row)['queue_ms']:.3f} ms"

    @display(description="inside the model")
    def inference_ms(self, row: RecordRow) -> str:
        return f"{_document(row)['inference_ms']:.3f} ms"

    @display(description="completed at")
    def completed_at(self, row: RecordRow) -> str:
        return str(_document(row)["completed_at"])[:19].replace("T", " ")

    @display(description="key")
    def key(self, row: RecordRow) -> str:
        return _document(row)["key"] or "–"

    @display(description="digest")
    def digest(self, row: RecordRow) -> str:
        return str(_document(row)["digest"])

    @display(description="why this version")
    def route(self, row: RecordRow) -> str:
        return str(_document(row)["route"])

    @display(description="protocol")
    def protocol(self, row: RecordRow) -> str:
        return str(_document(row)["protocol"])

    @display(description="instances")
    def rows(self, row: RecordRow) -> str:
        return str(_document(row)["rows"])

    @display(description="inputs")
    def inputs(self, row: RecordRow) -> SafeString:
        return readable(_document(row)["inputs"])

    @display(description="outputs")
    def outputs(self, row: RecordRow) -> SafeString:
        return readable(_document(row)["outputs"])

    @display(description="first instance")
    def values(self, row: RecordRow) -> SafeString:
        values = _document(row)["values"]
        lines = [(value["side"], value["name"], value.get("number", value.get("text"))) for value in values]
        return format_html_join("", "<div>{}.<b>{}</b> {}</div>", lines) or SafeString("–")


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _condition(word: str) -> Q:
    """What one word of a search asks for."""
    try:
        return Q(Exists(matching_values(queries.value_range(word))))
    except ValueError:
        pass
    project, _, model = word.rpartition("/")
    named = Q(project=project, model=model) if project else Q(model=word)
    return named | Q(error__icontains=word)


def _document(row: RecordRow) -> dict[str, Any]:
    """The record's document, decoded once per page."""
    if "decoded" not in row.__dict__:
        row.__dict__["decoded"] = documents.decode(bytes(row.document))
    decoded: dict[str, Any] = row.__dict__["decoded"]
    return decoded


def readable(value: Any) -> SafeString:
    """Inputs or outputs, a line per name and instance."""
    if value is None:
        return SafeString("–")
    text = json.dumps(value, ensure_ascii=False)
    if len(text) <= _SHOWN:
        text = "{\n" + ",\n".join(_lines(value)) + "\n}" if isinstance(value, dict) else text
    else:
        text = f"{text[:_SHOWN]}…"
    return format_html('<pre class="sb-code">{}</pre>', text)


def _lines(value: dict[str, Any]) -> list[str]:
    """One line per name and one per instance: json's own indentation would give every number a line."""
    lines = []
    for name, item in value.items():
        label = json.dumps(name, ensure_ascii=False)
        if isinstance(item, list) and len(item) > 1:
            rows = ",\n".join(f"    {json.dumps(row, ensure_ascii=False)}" for row in item)
            lines.append(f"  {label}: [\n{rows}\n  ]")
        else:
            lines.append(f"  {label}: {json.dumps(item, ensure_ascii=False)}")
    return lines
