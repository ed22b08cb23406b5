"""Projects, models, aliases and their history in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display
from unfold.paginator import InfinitePaginator
from unfold.widgets import UnfoldAdminTextareaWidget

from models_registry.admin import forms, pages
from models_registry.models import Alias, DeploymentEvent, ModelVersion, Project, RegisteredModel
from models_registry.names import check_name

CHANGE = "models_registry.change_registeredmodel"
RUNTIMES = {"onnx": "ONNX", "native": "native"}
STATUS_COLOURS = {"ready": "success", "publishing": "info", "rejected": "danger", "retired": "warning"}


class ReadOnly:
    """Rows that people look at and verbs change."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Project)
class ProjectAdmin(ModelAdmin):
    list_display = ["name", "open_limit", "created_at"]
    search_fields = ["name"]
    readonly_fields = ["created_at"]
    show_full_result_count = False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Its models, keys and history would go with it.
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["created_at", "name"] if obj else ["created_at"]


class AliasInline(ReadOnly, TabularInline):
    model = Alias
    fields = readonly_fields = ["name", "answers", "verbs"]
    extra = 0
    hide_title = True
    verbose_name_plural = "aliases"

    @display(description="answers with")
    def answers(self, alias: Alias) -> SafeString:
        return version_link(alias.version)

    @display(description="")
    def verbs(self, alias: Alias) -> SafeString:
        return format_html(
            '<a class="sb-link" href="{}">Roll back</a> · <a class="sb-link" href="{}">Remove</a>',
            reverse("admin:alias-rollback", args=[alias.pk]),
            reverse("admin:alias-remove", args=[alias.pk]),
        )


class VersionInline(ReadOnly, TabularInline):
    model = ModelVersion
    fields = readonly_fields = ["link", "status", "runtime", "format", "created_by", "created_at"]
    extra = 0
    hide_title = True
    per_page = 10
    ordering = ["-number"]
    verbose_name_plural = "versions"

    @display(description="version")
    def link(self, version: ModelVersion) -> SafeString:
        return version_link(version)


@admin.register(RegisteredModel)
class RegisteredModelAdmin(ModelAdmin):
    list_display = ["name", "project", "answering", "description", "created_at"]
    list_filter = ["project"]
    list_select_related = ["project"]
    search_fields = ["name"]
    fields = [
        "project",
        "name",
        "description",
        "pool",
        "hard_limit_s",
        "open_limit",
        "cache_ttl_s",
        "privacy",
        "record_days",
    ]
    inlines = [AliasInline, VersionInline]
    show_full_result_count = False
    change_form_outer_before_template = "models_registry/model_verbs.html"
    change_list_template = "models_registry/model_list.html"

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        kwargs["labels"] = {
            "hard_limit_s": "Hard limit (s)",
            "cache_ttl_s": "Cached for (s)",
            "record_days": "Records kept (days)",
        }
        kwargs["widgets"] = {"description": UnfoldAdminTextareaWidget(attrs={"rows": 3})}
        return super().get_form(request, obj, change, **kwargs)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("aliases__version")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["project", "name"] if obj else []

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Its versions answered predictions; they are retired, not deleted.
        return False

    @display(description="aliases")
    def answering(self, model: RegisteredModel) -> str:
        return ", ".join(f"{alias.name} → {alias.version.number}" for alias in model.aliases.all()) or "–"

    def get_urls(self) -> list[Any]:
        wrap = self.admin_site.admin_view
        own = [path("<int:pk>/alias/", wrap(set_alias), name="model-alias")]
        return [*own, *super().get_urls()]


@admin.register(Alias)
class AliasAdmin(ReadOnly, ModelAdmin):
    """Where every alias points; a click leads to its model."""

    list_display = ["name", "model", "answers", "verbs"]
    list_filter = ["model__project"]
    list_select_related = ["model__project", "version"]
    search_fields = ["name", "model__name"]
    list_display_links = None
    show_full_result_count = False
    answers = AliasInline.answers
    verbs = AliasInline.verbs

    def get_urls(self) -> list[Any]:
        wrap = self.admin_site.admin_view
        own = [
            path("<int:pk>/rollback/", wrap(roll_back), name="alias-rollback"),
            path("<int:pk>/remove/", wrap(remove), name="alias-remove"),
        ]
        return [*own, *super().get_urls()]


@admin.register(DeploymentEvent)
class EventAdmin(ReadOnly, ModelAdmin):
    list_display = ["at", "model", "what", "alias", "from_version", "to_version", "who", "why"]
    list_filter = ["verb"]
    list_select_related = ["model__project"]
    search_fields = ["=model__name", "=alias", "=who"]
    fields = ["at", "model", "verb", "alias", "from_version", "to_version", "who", "why"]
    show_full_result_count = False
    paginator = InfinitePaginator

    @display(
        description="verb",
        label={"set": "success", "rolled back": "warning", "removed": "danger", "retired": "info"},
    )
    def what(self, event: DeploymentEvent) -> str:
        return event.verb


def version_link(version: ModelVersion) -> SafeString:
    url = reverse("admin:models_registry_modelversion_change", args=[version.pk])
    return format_html('<a class="sb-link" href="{}">version {}</a>', url, version.number)


def model_url(model_id: int) -> str:
    return reverse("admin:models_registry_registeredmodel_change", args=[model_id])


def set_alias(request: HttpRequest, pk: int) -> HttpResponse:
    """Let an alias of the model answer with one of its ready versions."""
    pages.require(request, CHANGE)
    model = get_object_or_404(RegisteredModel.objects.select_related("project"), pk=pk)
    initial = {"version": request.GET.get("version", "")} if request.method == "GET" else None
    form = forms.AliasForm(request.POST or None, versions=forms.versions_of(model), initial=initial)

    def act(data: dict[str, Any]) -> tuple[str, str]:
        check_name(data["alias"], field="alias")
        alias = Alias.point(data["version"], data["alias"], who=request.user.get_username(), why=data["why"])
        return f"{alias.name} answers with version {alias.version.number}", model_url(model.pk)

    intro = "Traffic follows within a second, once the version is warm; the one before answers until then."
    return pages.form_page(
        request, form, act, title=f"Set an alias of {model}", intro=intro, back=model_url(pk), submit="Set alias"
    )


def roll_back(request: HttpRequest, pk: int) -> HttpResponse:
    """Point an alias back at what answered before the last change."""
    pages.require(request, CHANGE)
    alias = get_object_or_404(Alias.objects.select_related("model__project", "version"), pk=pk)
    who = request.user.get_username()

    def act(data: dict[str, Any]) -> tuple[str, str]:
        now = alias.roll_back(who=who, why=data["why"])
        return f"{alias.name} answers with version {now.version.number} again", model_url(alias.model_id)

    intro = f"It answers with version {alias.version.number} now; rolled back, with the one before that."
    return pages.form_page(
        request,
        forms.WhyForm(request.POST or None),
        act,
        title=f"Roll back {alias}",
        intro=intro,
        back=model_url(alias.model_id),
        submit="Roll back",
    )


def remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Take an alias away."""
    pages.require(request, CHANGE)
    alias = get_object_or_404(Alias.objects.select_related("model__project", "version"), pk=pk)
    name, who = str(alias), request.user.get_username()

    def act(data: dict[str, Any]) -> tuple[str, str]:
        alias.remove(who=who, why=data["why"])
        return f"{name} is removed", model_url(alias.model_id)

    return pages.form_page(
        request,
        forms.WhyForm(request.POST or None),
        act,
        title=f"Remove {name}",
        intro="Requests for this name are then answered 404. The version stays.",
        back=model_url(alias.model_id),
        submit="Remove",
        danger=True,
    )
