"""API keys in the admin: issued with the secret shown once, looked at, revoked."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import display

from models_registry.admin import forms, pages
from models_registry.admin.registry import ReadOnly
from models_registry.models import ApiKey


@admin.register(ApiKey)
class KeyAdmin(ReadOnly, ModelAdmin):
    list_display = ["start", "name", "project", "may", "state", "last_used_at", "verbs"]
    list_filter = ["project"]
    list_select_related = ["project"]
    search_fields = ["name", "prefix"]
    fields = [
        "project",
        "name",
        "prefix",
        "may",
        "model_names",
        "created_at",
        "expires_at",
        "revoked_at",
        "last_used_at",
    ]
    readonly_fields = ["may"]
    show_full_result_count = False
    change_list_template = "models_registry/key_list.html"

    @display(description="key")
    def start(self, key: ApiKey) -> str:
        return f"{key.prefix}…"

    @display(description="scopes")
    def may(self, key: ApiKey) -> str:
        return ", ".join(key.scopes)

    @display(description="state", label={"valid": "success", "revoked": "danger", "expired": "warning"})
    def state(self, key: ApiKey) -> str:
        if key.revoked_at:
            return "revoked"
        return "expired" if key.expires_at and key.expires_at <= timezone.now() else "valid"

    @display(description="")
    def verbs(self, key: ApiKey) -> SafeString | str:
        if key.revoked_at:
            return ""
        return format_html('<a class="sb-link" href="{}">Revoke</a>', reverse("admin:key-revoke", args=[key.pk]))

    def get_urls(self) -> list[Any]:
        wrap = self.admin_site.admin_view
        own = [
            path("issue/", wrap(issue), name="key-issue"),
            path("<int:pk>/revoke/", wrap(revoke), name="key-revoke"),
        ]
        return [*own, *super().get_urls()]


def issue(request: HttpRequest) -> HttpResponse:
    """Make a key and show its secret, this once."""
    pages.require(request, "models_registry.add_apikey")
    back = reverse("admin:models_registry_apikey_changelist")

    def act(data: dict[str, Any]) -> HttpResponse:
        key, secret = ApiKey.issue(
            data["project"],
            data["name"],
            scopes=data["scopes"],
            model_names=data["model_names"],
            expires_at=data["expires_at"],
        )
        shown = pages.page(
            request, "models_registry/key_issued.html", title="Key issued", key=key, secret=secret, back=back
        )
        shown["Cache-Control"] = "no-store"
        return shown

    return pages.form_page(
        request, forms.KeyForm(request.POST or None), act, title="Issue a key", back=back, submit="Issue key"
    )


def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    """End a key."""
    pages.require(request, "models_registry.change_apikey")
    key = get_object_or_404(ApiKey, pk=pk)
    back = reverse("admin:models_registry_apikey_changelist")

    def act(data: dict[str, Any]) -> tuple[str, str]:
        key.revoke()
        return f"{key} is revoked", back

    return pages.form_page(
        request,
        Form(request.POST if request.method == "POST" else None),
        act,
        title=f"Revoke {key}",
        intro="Every process refuses it within a second. This cannot be undone.",
        back=back,
        submit="Revoke",
        danger=True,
    )
