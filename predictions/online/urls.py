"""Paths of the Open Inference Protocol; `rest` is `[project/]name[/versions/{v}]`, read from the right."""

from django.urls import path

from predictions.online import extensions, views

urlpatterns = [
    path("v2", views.Server.as_view(), name="v2-server"),
    path("v2/health/live", views.Live.as_view(), name="v2-live"),
    path("v2/health/ready", views.Ready.as_view(), name="v2-ready"),
    path("v2/models", views.Models.as_view(), name="v2-models"),
    path("v2/models/stats", extensions.AllStats.as_view(), name="v2-stats"),
    path("v2/repository/index", extensions.Index.as_view(), name="v2-repository"),
    path("v2/repository/models/<path:name>/load", extensions.Load.as_view(), name="v2-load"),
    path("v2/repository/models/<path:name>/unload", extensions.Unload.as_view(), name="v2-unload"),
    path("v2/logging", extensions.Absent.as_view()),
    path("v2/trace/setting", extensions.Absent.as_view()),
    path("v2/systemsharedmemory/<path:rest>", extensions.Absent.as_view()),
    path("v2/cudasharedmemory/<path:rest>", extensions.Absent.as_view()),
    path("v2/models/<path:rest>/trace/setting", extensions.Absent.as_view()),
    path("v2/models/<path:rest>/config", extensions.Config.as_view(), name="v2-model-config"),
    path("v2/models/<path:rest>/stats", extensions.Stats.as_view(), name="v2-model-stats"),
    path("v2/models/<path:rest>/infer", views.Infer.as_view(), name="v2-infer"),
    path("v2/models/<path:rest>/ready", views.ModelReady.as_view(), name="v2-model-ready"),
    path("v2/models/<path:rest>", views.Model.as_view(), name="v2-model"),
]
