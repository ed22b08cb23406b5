"""Receipts of erasures in the admin, and the form that erases; receipts are changed by nobody."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.http import HttpRequest
from django.utils.module_loading import import_string
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from monitoring.asked import Erasure
from monitoring.pages.asked import offered


class ErasureForm(forms.ModelForm):  # type: ignore[type-arg]
    """Whom to erase, as clients name it; only its keyed hash is kept."""

    project = forms.ChoiceField(widget=UnfoldAdminSelectWidget)
    subject = forms.CharField(
        max_length=256, widget=UnfoldAdminTextInputWidget, help_text="As clients sent it in X-Subject-ID."
    )
    why = forms.CharField(max_length=500, required=False, widget=UnfoldAdminTextInputWidget)

    class Meta:
        model = Erasure
        fields = ["project", "subject", "why"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choice: Any = self.fields.get("project")
        if choice is not None:
            choice.choices = [(name, name) for name in offered("", "").projects]


@admin.register(Erasure)
class ErasureAdmin(ModelAdmin):
    list_display = ["short_id", "project", "who", "asked_at", "finished_at", "what_went", "late"]
    list_display_links = ["short_id"]
    list_filter = ["project"]
    show_full_result_count = False
    form = ErasureForm
    readonly_fields = ["id", "project", "subject", "who", "why", "asked_at", "finished_at", "what_went", "late"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.readonly_fields if obj else []

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.readonly_fields if obj else ["project", "subject", "why"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Erasure, form: Any, change: bool) -> None:
        """Erase, and show the receipt in the place of what the form made."""
        data = form.cleaned_data
        who = f"user:{request.user.get_username()}"
        order = import_string(settings.ERASE)(data["project"], data["subject"], who=who, why=data["why"])
        obj.__dict__.update(order.__dict__)
        if order.finished_at is None:
            messages.warning(request, "The record store does not answer; the rest is erased once it does.")

    @display(description="receipt")
    def short_id(self, order: Erasure) -> str:
        return str(order.pk)

    @display(description="what went")
    def what_went(self, order: Erasure) -> str:
        return ", ".join(f"{number} {place}" for place, number in order.counts.items()) or "–"
