"""A page to try a version by hand: fields from its signature, the online path behind them, the record linked."""

from __future__ import annotations

import json
import time
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from unfold import widgets

from models_registry import errors, examples, snapshot
from models_registry.admin import pages
from models_registry.models import ModelVersion
from models_registry.runtime.signature import Signature, TensorSpec
from predictions.online import inference

#: Values that get a field each; a wider tensor is written as JSON.
_MOST_FIELDS = 64
_NUMBERS = ("FP", "INT", "UINT")


class TrialForm(forms.Form):
    """One field per value of a row; what is left empty is missing."""

    def __init__(self, signature: Signature, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._signature = signature
        for spec in signature.inputs:
            self.fields.update(_fields(spec))

    def body(self) -> bytes:
        """The OIP request of what was filled in. Raises `InvalidInput` naming the field."""
        tensors = [
            {"name": spec.name, "shape": [1, *(max(1, length) for length in spec.shape[1:])], "datatype": spec.datatype}
            | {"data": self._data(spec)}
            for spec in self._signature.inputs
        ]
        return json.dumps({"inputs": tensors}).encode()

    def _data(self, spec: TensorSpec) -> Any:
        fields = _fields(spec)
        return [_value(spec, self.cleaned_data[name], name) for name in fields]


def _fields(spec: TensorSpec) -> dict[str, forms.Field]:
    width = len(examples.row(spec))
    labels = spec.columns if len(spec.columns) == width else [f"{spec.name}[{position}]" for position in range(width)]
    names = [spec.name] if width == 1 else [f"{spec.name}.{position}" for position in range(width)]
    labels = [spec.name] if width == 1 and not spec.columns else list(labels)
    return {name: _field(spec, label) for name, label in zip(names, labels, strict=True)}


def _field(spec: TensorSpec, label: str) -> forms.Field:
    hint = f"{spec.datatype}, may be missing" if spec.nullable else spec.datatype
    common: dict[str, Any] = {"label": label, "required": not spec.nullable, "help_text": hint}
    if spec.datatype == "BOOL":
        choices = [("true", "true"), ("false", "false")] + ([("", "missing")] if spec.nullable else [])
        return forms.ChoiceField(choices=choices, widget=widgets.UnfoldAdminSelectWidget(), **common)
    number = spec.datatype.startswith(_NUMBERS)
    attributes = {"inputmode": "decimal", "autocomplete": "off"} if number else {"autocomplete": "off"}
    initial = None if spec.nullable else examples.value(spec)
    return forms.CharField(
        widget=widgets.UnfoldAdminTextInputWidget(attrs=attributes), max_length=2000, initial=initial, **common
    )


def _value(spec: TensorSpec, text: str, name: str) -> Any:
    if text == "" and spec.nullable:
        return None
    if spec.datatype == "BYTES":
        return text
    if spec.datatype == "BOOL":
        return text == "true"
    try:
        return float(text) if spec.datatype.startswith("FP") else int(text)
    except ValueError:
        raise errors.InvalidInput(f"{text[:40]!r} is not a number", field=name) from None


def try_version(request: HttpRequest, pk: Any) -> HttpResponse:
    """Show the fields; when they are sent, ask the version and show what it says."""
    pages.require(request, "predictions.add_prediction")
    version = get_object_or_404(ModelVersion.objects.select_related("model__project"), pk=pk)
    signature = version.parsed_signature() if version.signature else Signature((), ())
    form = TrialForm(signature, request.POST or None)
    answer = None
    if request.method == "POST" and form.is_valid():
        try:
            answer = _ask(request, version, signature, form.body())
        except errors.DomainError as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
    return pages.page(
        request,
        "predictions/try.html",
        title=f"Try version {version.number} of {version.model}",
        version=version,
        form=form,
        answer=answer,
        back=reverse("admin:models_registry_modelversion_change", args=[version.pk]),
    )


def _ask(request: HttpRequest, version: ModelVersion, signature: Signature, body: bytes) -> dict[str, Any]:
    principal = snapshot.of_staff(request.user.get_username(), version.model.project.name)
    asked = inference.Asked(name=version.model.name, wanted=str(version.number), read=lambda: body)
    started = time.perf_counter()
    answer = inference.infer(principal, asked)
    took_ms = (time.perf_counter() - started) * 1000
    said = json.loads(answer.body)
    return {
        "id": dict(answer.headers)["x-prediction-id"],
        "project": principal.project,
        "took": f"{took_ms:.1f} ms",
        "outputs": [_shown(output, signature) for output in said["outputs"]],
        "request": json.dumps(json.loads(body), indent=1, ensure_ascii=False),
        "response": json.dumps(said, indent=1, ensure_ascii=False),
    }


def _shown(output: dict[str, Any], signature: Signature) -> dict[str, Any]:
    """One output with a bar for each probability of a classifier."""
    data = output["data"]
    if len(data) == len(signature.classes) and len(data) > 1:
        bars = [
            (name, f"{value:.4f}", round(100 * value, 1)) for name, value in zip(signature.classes, data, strict=True)
        ]
        return {"name": output["name"], "bars": bars}
    return {"name": output["name"], "values": data[:_MOST_FIELDS]}


urlpatterns = [path("<uuid:pk>/", admin.site.admin_view(try_version), name="try-version")]
