"""Paths of monitoring, from the site's root."""

from django.urls import path

from monitoring.api import logs, records, watching

urlpatterns = [
    path("api/records", records.Records.as_view(), name="records"),
    path("api/records/counts", records.Counts.as_view(), name="record-counts"),
    path("api/records/<uuid:identifier>", records.OneRecord.as_view(), name="record"),
    path("api/logs", logs.Logs.as_view(), name="logs"),
    path("api/logs/<uuid:identifier>", logs.OneLine.as_view(), name="log-line"),
    path("metrics", watching.Metrics.as_view(), name="metrics"),
    path("health/live", watching.Live.as_view(), name="health-live"),
    path("health/ready", watching.Ready.as_view(), name="health-ready"),
]
