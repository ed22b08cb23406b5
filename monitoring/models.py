"""The embedded record store's rows. In the services mode Elasticsearch holds the same documents instead."""

from __future__ import annotations

from django.db import models

from monitoring.asked import Erasure, Export, SavedSearch

__all__ = ["Erasure", "Export", "LogRow", "RecordRow", "RecordValue", "Sample", "SavedSearch"]

#: Short columns that pages count and searches compare. Indexes hold them, so that rows with their documents are
#: read for what is shown alone: looking through a week's records was ten times as slow without.
SEEN = ["version", "status", "door", "error_code", "total_ms", "accepted_at", "request_id"]


class RecordRow(models.Model):
    """One record; the columns are what a search filters on, `document` is the whole of it as JSON."""

    id = models.UUIDField(primary_key=True)
    project = models.CharField(max_length=64)
    model = models.CharField(max_length=64)
    version = models.PositiveIntegerField()
    status = models.CharField(max_length=12)
    door = models.CharField(max_length=8)
    error_code = models.CharField(max_length=32, blank=True)
    error = models.TextField(blank=True)
    request_id = models.CharField(max_length=128, blank=True)
    subject = models.CharField(max_length=64, blank=True)
    accepted_at = models.DateTimeField()
    total_ms = models.FloatField()
    content_hash = models.CharField(max_length=64)
    document = models.BinaryField()

    class Meta:
        ordering = ["-id"]
        verbose_name = "record"
        indexes = [
            # Newest first is read backwards: an index in that order would grow at its beginning, where SQLite splits
            # a page for every few rows.
            models.Index(fields=["project", "id", "model", *SEEN], name="record_page"),
            models.Index(fields=["project", "model", "id", *SEEN], name="record_model_page"),
            models.Index(fields=["project", "status", "id"], name="record_status_page"),
            models.Index(fields=["subject"], condition=~models.Q(subject=""), name="record_subject"),
        ]

    def __str__(self) -> str:
        return str(self.id)


class RecordValue(models.Model):
    """One value of a record's first instance, so that ranges can be asked for by name."""

    record = models.ForeignKey(RecordRow, on_delete=models.CASCADE, related_name="values_by_name", db_index=False)
    side = models.CharField(max_length=6)
    name = models.CharField(max_length=128)
    number = models.FloatField(null=True)
    text = models.CharField(max_length=1000, null=True)

    class Meta:
        # By record only: a search goes through a bounded number of records, newest first, and asks for each.
        # An index by side, name and number was taken by SQLite for that question and read whole for every record.
        indexes = [models.Index(fields=["record"], name="value_record")]

    def __str__(self) -> str:
        return f"{self.side} {self.name}"


class Sample(models.Model):
    """What one process said of itself at one moment: what pages draw over time and no record holds.

    `lasting` 0 is kept for hours, 1 for a day, 2 for a week. `name` is the kind of process ("web", "worker standard").
    Counters in `figures` count since the process began; (host, pid) tells which process that was.
    """

    at = models.DateTimeField()
    name = models.CharField(max_length=64)
    host = models.CharField(max_length=128)
    pid = models.PositiveIntegerField()
    lasting = models.PositiveSmallIntegerField()
    figures = models.JSONField()

    class Meta:
        indexes = [models.Index(fields=["lasting", "at"], name="sample_lasting")]

    def __str__(self) -> str:
        return f"{self.name} {self.pid} at {self.at:%H:%M:%S}"


class LogRow(models.Model):
    """One line of the log; the columns are what a search filters on, `document` is the whole of it as JSON.

    Ids are null where the line has none: equality then says that it is in the partial index, which neither database
    would see otherwise.
    """

    id = models.UUIDField(primary_key=True)
    level = models.PositiveSmallIntegerField()
    service = models.CharField(max_length=128, blank=True)
    action = models.CharField(max_length=128, blank=True)
    project = models.CharField(max_length=128, blank=True)
    model = models.CharField(max_length=128, blank=True)
    request_id = models.CharField(max_length=128, null=True)
    prediction_id = models.CharField(max_length=128, null=True)
    trace_id = models.CharField(max_length=128, null=True)
    text = models.TextField()
    document = models.TextField()

    class Meta:
        ordering = ["-id"]
        verbose_name = "log line"
        # Few lines have these ids, so their indexes cost the others nothing.
        indexes = [
            models.Index(fields=["request_id"], condition=models.Q(request_id__isnull=False), name="log_request"),
            models.Index(
                fields=["prediction_id"], condition=models.Q(prediction_id__isnull=False), name="log_prediction"
            ),
            models.Index(fields=["trace_id"], condition=models.Q(trace_id__isnull=False), name="log_trace"),
        ]

    def __str__(self) -> str:
        return str(self.id)
