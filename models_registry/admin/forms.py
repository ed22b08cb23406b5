"""The forms of the admin's own pages."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet
from unfold import widgets

from models_registry.models import ModelVersion, Project, RegisteredModel
from models_registry.models.access import SCOPES


class WhyForm(forms.Form):
    why = forms.CharField(
        max_length=2000,
        required=False,
        widget=widgets.UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Kept in the history beside your name.",
    )


class AliasForm(WhyForm):
    """Which version an alias of one model answers with."""

    alias = forms.CharField(max_length=64, widget=widgets.UnfoldAdminTextInputWidget(), initial="champion")
    version = forms.ModelChoiceField(
        ModelVersion.objects.none(), widget=widgets.UnfoldAdminSelectWidget(), empty_label=None
    )
    field_order = ["alias", "version", "why"]

    def __init__(self, *args: Any, versions: QuerySet[ModelVersion], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["version"]
        field.queryset = versions
        field.label_from_instance = lambda version: f"{version.number} – {version.runtime or version.format}"


class PublishForm(WhyForm):
    """A model file and where it belongs."""

    project = forms.ModelChoiceField(Project.objects.all(), widget=widgets.UnfoldAdminSelectWidget(), empty_label=None)
    name = forms.CharField(
        max_length=64,
        label="Model",
        widget=widgets.UnfoldAdminTextInputWidget(),
        help_text="A new name makes a new model.",
    )
    file = forms.FileField(
        label="Model file",
        widget=widgets.UnfoldAdminFileFieldWidget(attrs={"accept": ".skops,.onnx"}),
        help_text=".skops or .onnx. A pickle or joblib file is refused unopened.",
    )
    sample = forms.FileField(
        required=False,
        label="Sample rows",
        widget=widgets.UnfoldAdminFileFieldWidget(attrs={"accept": ".csv"}),
        help_text="CSV with a header line: names the columns and is what compiled and native are compared on.",
    )
    alias = forms.CharField(
        max_length=64,
        required=False,
        widget=widgets.UnfoldAdminTextInputWidget(),
        help_text="Set once the version is ready, for example champion. Empty: it answers only by its number.",
    )
    field_order = ["project", "name", "file", "sample", "alias", "why"]


class KeyForm(forms.Form):
    """What a new key may do."""

    project = forms.ModelChoiceField(Project.objects.all(), widget=widgets.UnfoldAdminSelectWidget(), empty_label=None)
    name = forms.CharField(max_length=64, widget=widgets.UnfoldAdminTextInputWidget(), help_text="What it is for.")
    scopes = forms.MultipleChoiceField(
        choices=[(scope, scope) for scope in SCOPES],
        initial=["predict", "read"],
        widget=widgets.UnfoldAdminCheckboxSelectMultipleWidget(),
    )
    model_names = forms.CharField(
        required=False,
        label="Models",
        widget=widgets.UnfoldAdminTextInputWidget(),
        help_text="Names with commas between them; empty: all models of the project.",
    )
    expires_at = forms.SplitDateTimeField(
        required=False,
        label="Expires",
        widget=widgets.UnfoldAdminSplitDateTimeWidget(),
        help_text="In UTC; empty: never.",
    )

    def clean_model_names(self) -> list[str]:
        return [name.strip() for name in self.cleaned_data["model_names"].split(",") if name.strip()]


def versions_of(model: RegisteredModel) -> QuerySet[ModelVersion]:
    return model.versions.filter(status=ModelVersion.Status.READY).order_by("-number")
