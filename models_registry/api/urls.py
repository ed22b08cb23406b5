"""The paths under `/api/` that belong to the registry."""

from django.urls import path

from models_registry.api import aliases, keys, models, versions

urlpatterns = [
    path("models", models.Models.as_view(), name="api-models"),
    path("models/<str:name>", models.Model.as_view(), name="api-model"),
    path("models/<str:name>/versions", versions.Versions.as_view(), name="api-versions"),
    path("models/<str:name>/versions/<int:number>", versions.Version.as_view(), name="api-version"),
    path("models/<str:name>/versions/<int:number>/retire", versions.Retire.as_view(), name="api-retire"),
    path("models/<str:name>/aliases", aliases.Aliases.as_view(), name="api-aliases"),
    path("models/<str:name>/aliases/<str:alias>", aliases.OneAlias.as_view(), name="api-alias"),
    path("models/<str:name>/aliases/<str:alias>/rollback", aliases.RollBack.as_view(), name="api-rollback"),
    path("models/<str:name>/events", aliases.Events.as_view(), name="api-events"),
    path("keys", keys.Keys.as_view(), name="api-keys"),
    path("keys/<str:key>", keys.Key.as_view(), name="api-key"),
    path("projects", keys.Projects.as_view(), name="api-projects"),
]
