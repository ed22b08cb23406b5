"""What people ask of records and want to find again: saved searches, exports, erasures. Rows, their verbs elsewhere."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from monitoring.ids import mint


class SavedSearch(models.Model):
    """A search under a name. `conditions` is a query string of `/api/records`; only its owner changes it."""

    project = models.CharField(max_length=64)
    owner = models.CharField(max_length=160, help_text="user:<name>, or the first characters of a key.")
    name = models.CharField(max_length=64)
    conditions = models.CharField(max_length=2000, blank=True)
    is_shared = models.BooleanField(default=False, help_text="Everybody who may read the project's records sees it.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name", "id"]
        verbose_name_plural = "saved searches"
        constraints = [models.UniqueConstraint(fields=["project", "owner", "name"], name="one_search_per_name")]

    def __str__(self) -> str:
        return self.name


class Export(models.Model):
    """Records on their way into a file: waiting → running → ready | failed | canceled; its file goes when it expires.

    `total` is how many records met the conditions when it began, `done` how many are written.
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        READY = "ready"
        FAILED = "failed"
        CANCELED = "canceled"

    class Format(models.TextChoices):
        JSONL = "jsonl"
        CSV = "csv"
        PARQUET = "parquet"

    id = models.UUIDField(primary_key=True, default=mint, editable=False)
    project = models.CharField(max_length=64)
    who = models.CharField(max_length=160)
    format = models.CharField(max_length=8, choices=Format)
    conditions = models.CharField(max_length=2000, blank=True)
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    total = models.PositiveBigIntegerField(default=0)
    done = models.PositiveBigIntegerField(default=0)
    size_bytes = models.PositiveBigIntegerField(default=0)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    beat_at = models.DateTimeField(null=True, help_text="When its writer was last heard of.")
    finished_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.id}.{self.format}"

    @property
    def percent(self) -> int:
        """0 to 100; 100 only when the file is whole."""
        if self.state == self.State.READY:
            return 100
        return min(99, self.done * 100 // self.total) if self.total else 0


class Erasure(models.Model):
    """The receipt of one erasure, and the order to drop what arrives of its subject later.

    `subject` is the keyed hash that records carry, never the name itself. `counts` says what went, by place.
    """

    id = models.UUIDField(primary_key=True, default=mint, editable=False)
    project = models.CharField(max_length=64)
    subject = models.CharField(max_length=64)
    who = models.CharField(max_length=160)
    why = models.TextField(blank=True)
    asked_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)
    counts = models.JSONField(default=dict)
    late = models.PositiveIntegerField(default=0, help_text="Records that arrived afterwards and were dropped.")

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["project", "subject"], name="erasure_subject")]

    def __str__(self) -> str:
        return str(self.id)
