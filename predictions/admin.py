"""Predictions in the admin: looked at and searched, never changed."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.paginator import InfinitePaginator

from predictions.models import Prediction

#: Characters of an input or output that a page shows.
_SHOWN = 20_000
_COLOURS = {
    "starting": "info",
    "processing": "info",
    "succeeded": "success",
    "failed": "danger",
    "canceled": "warning",
    "aborted": "warning",
}


@admin.register(Prediction)
class PredictionAdmin(ModelAdmin):
    list_display = ["short_id", "project", "model", "version", "state", "priority", "rows", "accepted_at", "took"]
    list_display_links = ["short_id"]
    list_filter = ["status", "priority"]
    search_fields = ["model"]
    search_help_text = "A whole id, or the whole name of a model."
    ordering = ["-id"]
    list_per_page = 50
    show_full_result_count = False
    paginator = InfinitePaginator
    fieldsets = [
        (None, {"fields": ["id", "state", "project", "key", "request_id", "model", "version", "digest", "route"]}),
        (
            "Times",
            {"fields": ["accepted_at", "started_at", "completed_at", "deadline_at", "inference_ms", "recorded_at"]},
        ),
        ("Driven by", {"fields": ["priority", "pool", "attempts", "sends", "next_send_at", "lease_until", "alone"]}),
        ("Asked", {"fields": ["protocol", "rows", "asked"]}),
        ("Answered", {"fields": ["error_code", "error", "answered"]}),
    ]
    readonly_fields = ["state", "asked", "answered"]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Prediction], search_term: str
    ) -> tuple[QuerySet[Prediction], bool]:
        """By id or by model, both exact: a search inside text would read the whole table."""
        term = search_term.strip().replace("\x00", "")
        if not term:
            return queryset, False
        try:
            return queryset.filter(pk=UUID(term)), False
        except ValueError:
            project, _, model = term.rpartition("/")
            found = queryset.filter(model=model)
            return (found.filter(project=project) if project else found), False

    @display(description="id")
    def short_id(self, prediction: Prediction) -> str:
        return str(prediction.pk)

    @display(description="status", label=_COLOURS)
    def state(self, prediction: Prediction) -> str:
        return prediction.status

    @display(description="took")
    def took(self, prediction: Prediction) -> str:
        if prediction.completed_at is None:
            return "–"
        return f"{(prediction.completed_at - prediction.accepted_at).total_seconds() * 1000:.0f} ms"

    @display(description="input")
    def asked(self, prediction: Prediction) -> SafeString | str:
        return _readable(prediction.input)

    @display(description="output")
    def answered(self, prediction: Prediction) -> SafeString | str:
        return _readable(prediction.output)


def _readable(document: bytes | memoryview | None) -> SafeString | str:
    if document is None:
        return "–"
    raw = bytes(document)
    if len(raw) > _SHOWN:
        return format_html('<pre class="sb-code">{}…</pre>', raw[:_SHOWN].decode(errors="replace"))
    try:
        text = json.dumps(json.loads(raw), indent=1, ensure_ascii=False)
    except ValueError:
        text = raw.decode(errors="replace")
    return format_html('<pre class="sb-code">{}</pre>', text)
