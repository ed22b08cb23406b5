"""Paths of monitoring, from the site's root."""

from django.urls import path, re_path

from monitoring.api import erasures, exports, logs, records, searches, watching

urlpatterns = [
    path("api/records", records.Records.as_view(), name="records"),
    path("api/records/counts", records.Counts.as_view(), name="record-counts"),
    re_path(r"^api/records/export\.(?P<form>jsonl|csv|parquet)$", exports.Stream.as_view(), name="record-stream"),
    path("api/records/exports", exports.Exports.as_view(), name="record-exports"),
    path("api/records/exports/<uuid:identifier>", exports.OneExport.as_view(), name="record-export"),
    path("api/records/exports/<uuid:identifier>/file", exports.ExportFile.as_view(), name="record-export-file"),
    path("api/records/searches", searches.Searches.as_view(), name="record-searches"),
    path("api/records/searches/<int:pk>", searches.OneSearch.as_view(), name="record-search"),
    path("api/erasures", erasures.Erasures.as_view(), name="erasures"),
    path("api/erasures/<uuid:identifier>", erasures.OneErasure.as_view(), name="erasure"),
    path("api/records/<uuid:identifier>", records.OneRecord.as_view(), name="record"),
    path("api/logs", logs.Logs.as_view(), name="logs"),
    path("api/logs/<uuid:identifier>", logs.OneLine.as_view(), name="log-line"),
    path("metrics", watching.Metrics.as_view(), name="metrics"),
    path("health/live", watching.Live.as_view(), name="health-live"),
    path("health/ready", watching.Ready.as_view(), name="health-ready"),
]
