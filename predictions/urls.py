"""Paths of the prediction protocols. No trailing slashes and no redirects: clients do not follow them on POST."""

from django.urls import path

from predictions.queued import views

urlpatterns = [
    path("v1/predictions", views.PredictionsView.as_view(), name="predictions"),
    path("v1/predictions/<uuid:identifier>", views.PredictionView.as_view(), name="prediction"),
    path("v1/predictions/<uuid:identifier>/cancel", views.CancelView.as_view(), name="prediction-cancel"),
    path("v1/models/<str:owner>/<str:name>", views.ModelView.as_view(), name="replicate-model"),
    path("v1/models/<str:owner>/<str:name>/versions", views.VersionsView.as_view(), name="replicate-versions"),
    path(
        "v1/models/<str:owner>/<str:name>/versions/<uuid:identifier>",
        views.VersionView.as_view(),
        name="replicate-version",
    ),
    path(
        "v1/models/<str:owner>/<str:name>/predictions",
        views.ModelPredictionsView.as_view(),
        name="replicate-model-predictions",
    ),
]
