"""Versions in the admin: publish one, watch it become ready, read its report, retire it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from unfold.admin import ModelAdmin
from unfold.decorators import display

from models_registry import errors, publishing
from models_registry.admin import forms, pages, report
from models_registry.admin.registry import CHANGE, RUNTIMES, STATUS_COLOURS, ReadOnly
from models_registry.models import ModelVersion, RegisteredModel
from models_registry.names import check_alias, check_name


@admin.register(ModelVersion)
class VersionAdmin(ReadOnly, ModelAdmin):
    list_display = ["name", "state", "runs_as", "format", "answering", "created_by", "created_at"]
    list_filter = ["status", "runtime", "model__project"]
    list_select_related = ["model__project"]
    search_fields = ["model__name", "=digest"]
    ordering = ["-created_at"]
    show_full_result_count = False
    change_list_template = "models_registry/version_list.html"

    def get_queryset(self, request: HttpRequest) -> Any:
        rows = super().get_queryset(request).prefetch_related("aliases")
        return rows.defer("signature", "report")

    @display(description="version", ordering="model__name")
    def name(self, version: ModelVersion) -> str:
        return str(version)

    @display(description="status", label=STATUS_COLOURS)
    def state(self, version: ModelVersion) -> str:
        return version.status

    @display(description="runs as", ordering="runtime")
    def runs_as(self, version: ModelVersion) -> str:
        return RUNTIMES.get(version.runtime, "–")

    @display(description="aliases")
    def answering(self, version: ModelVersion) -> str:
        return ", ".join(alias.name for alias in version.aliases.all()) or "–"

    def get_urls(self) -> list[Any]:
        wrap = self.admin_site.admin_view
        own = [
            path("publish/", wrap(publish), name="publish-version"),
            path("<uuid:pk>/progress/", wrap(progress), name="version-progress"),
            path("<uuid:pk>/retire/", wrap(retire), name="version-retire"),
        ]
        return [*own, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        pages.require(request, "models_registry.view_modelversion")
        version = self.get_object(request, object_id)
        if version is None:
            raise Http404(f"there is no version {object_id[:40]}")
        return pages.page(
            request,
            "models_registry/version.html",
            title=f"Version {version.number} of {version.model}",
            **_shown(version),
        )


def _shown(version: ModelVersion) -> dict[str, Any]:
    return {
        "version": version,
        "report": report.of(version),
        "colour": STATUS_COLOURS[version.status],
        "aliases": list(version.aliases.all()),
        "is_publishing": version.status == ModelVersion.Status.PUBLISHING,
        "runs_as": RUNTIMES.get(version.runtime, "–"),
        "is_ready": version.status == ModelVersion.Status.READY,
    }


def progress(request: HttpRequest, pk: Any) -> HttpResponse:
    """The part of a version's page that changes while it is being published."""
    pages.require(request, "models_registry.view_modelversion")
    version = get_object_or_404(ModelVersion.objects.select_related("model__project"), pk=pk)
    shown = pages.page(request, "models_registry/version_report.html", **_shown(version))
    if version.status != ModelVersion.Status.PUBLISHING:
        # The whole page once more: what can be done with the version has changed.
        shown["HX-Refresh"] = "true"
    return shown


def publish(request: HttpRequest) -> HttpResponse:
    """Take a model file and send it on its way."""
    pages.require(request, "models_registry.add_modelversion")
    initial = {"name": request.GET.get("model", ""), "project": request.GET.get("project", "")}
    form = forms.PublishForm(request.POST or None, request.FILES or None, initial=initial)

    def act(data: dict[str, Any]) -> tuple[str, str]:
        version = _submit(data, who=request.user.get_username())
        return f"{version}: {version.status}", reverse("admin:models_registry_modelversion_change", args=[version.pk])

    return pages.form_page(
        request,
        form,
        act,
        title="Publish a version",
        intro="The file is checked, compiled and compared in a process of its own; the next page shows how far it is.",
        back=reverse("admin:models_registry_modelversion_changelist"),
        submit="Publish",
        multipart=True,
    )


def _submit(data: dict[str, Any], *, who: str) -> ModelVersion:
    if data["file"].size > settings.SERVING["UPLOAD_LIMIT"]:
        raise errors.TooLarge(f"a file is at most {settings.SERVING['UPLOAD_LIMIT']} bytes", field="file")
    if data["alias"]:
        check_alias(data["alias"])
    model, is_new = RegisteredModel.objects.get_or_create(project=data["project"], name=check_name(data["name"]))
    try:
        return publishing.submit(
            model,
            data["file"],
            filename=data["file"].name,
            sample=data["sample"],
            alias=data["alias"] or None,
            who=who,
            why=data["why"],
        )
    except errors.DomainError:
        if is_new:
            model.discard_if_empty()
        raise


def retire(request: HttpRequest, pk: Any) -> HttpResponse:
    """End a version nobody needs."""
    pages.require(request, CHANGE)
    version = get_object_or_404(ModelVersion.objects.select_related("model__project"), pk=pk)
    back = reverse("admin:models_registry_modelversion_change", args=[version.pk])
    who = request.user.get_username()

    def act(data: dict[str, Any]) -> tuple[str, str]:
        version.retire(who=who, why=data["why"])
        return f"{version} is retired", back

    return pages.form_page(
        request,
        forms.WhyForm(request.POST or None),
        act,
        title=f"Retire {version}",
        intro="It answers nothing any more. This is refused while an alias or an open prediction needs it.",
        back=back,
        submit="Retire",
        danger=True,
    )
