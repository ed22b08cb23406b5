"""The ledger: one row per accepted prediction. The row is the truth and its own outbox; messages are nudges."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from monitoring.ids import mint


class Prediction(models.Model):
    """One accepted prediction with its state and answer.

    starting → processing → succeeded | failed | canceled | aborted (deadline passed); processing → starting when
    a lease expires. What it is pinned to (version, digest) is fixed at acceptance. Its record is a pure function
    of this row. Foreign keys have neither index nor constraint: each would cost every insert, and nothing joins.
    """

    class Status(models.TextChoices):
        STARTING = "starting"
        PROCESSING = "processing"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELED = "canceled"
        ABORTED = "aborted"

    class Priority(models.TextChoices):
        INTERACTIVE = "interactive"
        STANDARD = "standard"
        BULK = "bulk"

    id = models.UUIDField(primary_key=True, default=mint, editable=False)
    # who
    project_id = models.BigIntegerField()
    project = models.CharField(max_length=64)
    key = models.CharField(max_length=12, blank=True)
    request_id = models.CharField(max_length=128, blank=True)
    traceparent = models.CharField(max_length=55, blank=True, help_text="The request's place in a W3C trace.")
    subject = models.CharField(max_length=64, blank=True, help_text="Keyed hash of whom it is about.")
    # what, pinned at acceptance
    model = models.CharField(max_length=64)
    version = models.PositiveIntegerField()
    version_id = models.UUIDField()
    digest = models.CharField(max_length=64)
    route = models.CharField(max_length=80)
    pool = models.CharField(max_length=32)
    priority = models.CharField(max_length=12, choices=Priority, default=Priority.STANDARD)
    protocol = models.CharField(max_length=16, default="replicate")
    rows = models.PositiveIntegerField()
    input = models.BinaryField(help_text="The input object as canonical JSON.")
    idempotency_key = models.CharField(max_length=255, null=True)
    body_hash = models.CharField(max_length=64, blank=True)
    cache = models.CharField(
        max_length=12,
        blank=True,
        help_text="What the request asked of the response cache (no-cache, no-store); once ended, what the cache did.",
    )
    # where it stands
    status = models.CharField(max_length=12, choices=Status, default=Status.STARTING)
    output = models.BinaryField(null=True, help_text="The output object as JSON.")
    error_code = models.CharField(max_length=32, blank=True)
    error = models.TextField(blank=True)
    accepted_at = models.DateTimeField(default=timezone.now)
    deadline_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True)
    inference_ms = models.FloatField(default=0.0)
    # how it is driven
    next_send_at = models.DateTimeField()
    sends = models.PositiveSmallIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    fence = models.UUIDField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    alone = models.BooleanField(default=False, help_text="Its batch died: run it by itself next.")
    recorded_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["project_id", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
                name="one_prediction_per_key",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["starting", "processing"]) | Q(completed_at__isnull=False),
                name="an_ended_prediction_has_its_end",
            ),
        ]
        indexes = [
            # The keeper's one index: open rows and rows that wait for their record. It names no column that
            # changes while a prediction runs, so that PostgreSQL can update those in place (HOT).
            models.Index(fields=["id"], condition=Q(recorded_at__isnull=True), name="unrecorded"),
            models.Index(fields=["subject"], condition=~Q(subject=""), name="prediction_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.id} {self.status}"
