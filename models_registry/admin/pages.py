"""A page of the admin with one form and one verb: who may, what it says, where it leads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from models_registry import errors


def require(request: HttpRequest, permission: str) -> None:
    """Refuse whoever lacks the permission, as the admin does."""
    if not request.user.has_perm(permission):
        raise PermissionDenied


def page(request: HttpRequest, template: str, **context: Any) -> TemplateResponse:
    """A page in the admin's frame."""
    request.current_app = admin.site.name
    return TemplateResponse(request, template, {**admin.site.each_context(request), **context})


def form_page(
    request: HttpRequest,
    form: forms.Form,
    act: Callable[[dict[str, Any]], tuple[str, str] | HttpResponse],
    **context: Any,
) -> HttpResponse:
    """Show the form; when it is sent and valid, `act` on it.

    `act` answers with the message to show and where to go, or with a page of its own; what it refuses is shown
    at the field it names.
    """
    if request.method == "POST" and form.is_valid():
        try:
            done = act(form.cleaned_data)
        except errors.DomainError as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
        else:
            if isinstance(done, HttpResponse):
                return done
            messages.success(request, done[0])
            return redirect(done[1])
    return page(request, "models_registry/form.html", form=form, **context)
