"""Paths of the Open Inference Protocol; `rest` is `[project/]name[/versions/{v}]`, read from the right."""

from django.urls import path

from predictions.online import views

urlpatterns = [
    path("v2", views.Server.as_view(), name="v2-server"),
    path("v2/health/live", views.Live.as_view(), name="v2-live"),
    path("v2/health/ready", views.Ready.as_view(), name="v2-ready"),
    path("v2/models", views.Models.as_view(), name="v2-models"),
    path("v2/models/<path:rest>/infer", views.Infer.as_view(), name="v2-infer"),
    path("v2/models/<path:rest>/ready", views.ModelReady.as_view(), name="v2-model-ready"),
    path("v2/models/<path:rest>", views.Model.as_view(), name="v2-model"),
]
