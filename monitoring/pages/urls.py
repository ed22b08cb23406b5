"""Paths of the pages, below the admin's."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from monitoring.pages import views

urlpatterns = [
    path("<slug:name>/", admin.site.admin_view(views.page), name="watch"),
    path("<slug:name>/figures", admin.site.admin_view(views.figures), name="watch-figures"),
]
