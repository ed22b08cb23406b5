"""Registered models and their versions."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from models_registry.names import check_name
from models_registry.runtime.signature import Signature
from monitoring.ids import mint


class RegisteredModel(models.Model):
    """A named thing that predicts; what answers is one of its versions."""

    project = models.ForeignKey("models_registry.Project", on_delete=models.CASCADE, related_name="models")
    name = models.CharField(max_length=64)
    description = models.TextField(blank=True)
    pool = models.CharField(
        max_length=32, default="default", help_text="Workers of this pool run its queued predictions."
    )
    hard_limit_s = models.FloatField(default=30.0, help_text="Seconds after which one attempt of a prediction ends.")
    open_limit = models.PositiveIntegerField(
        default=10_000, help_text="Most predictions of this model that may be unfinished at once."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["project_id", "name"]
        verbose_name = "model"
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="one_model_per_name")]

    def __str__(self) -> str:
        return f"{self.project.name}/{self.name}"

    def clean(self) -> None:
        check_name(self.name)


class ModelVersion(models.Model):
    """One immutable artefact of a model, known by its number, its id and its digest.

    States: publishing → ready | rejected; ready → retired. Only `ready` versions answer.
    """

    class Status(models.TextChoices):
        PUBLISHING = "publishing"
        READY = "ready"
        REJECTED = "rejected"
        RETIRED = "retired"

    class Runtime(models.TextChoices):
        ONNX = "onnx"
        NATIVE = "native"

    id = models.UUIDField(primary_key=True, default=mint, editable=False)
    model = models.ForeignKey(RegisteredModel, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField(editable=False)
    digest = models.CharField(max_length=64, editable=False, help_text="SHA-256 of the artefact as it was uploaded.")
    configuration_digest = models.CharField(max_length=64, editable=False)
    format = models.CharField(max_length=16, editable=False, help_text="skops or onnx")
    filename = models.CharField(max_length=255, blank=True)
    size_bytes = models.PositiveBigIntegerField(default=0, editable=False)
    sample_digest = models.CharField(max_length=64, blank=True, editable=False)
    status = models.CharField(max_length=12, choices=Status, default=Status.PUBLISHING, editable=False)
    reason = models.TextField(blank=True, editable=False, help_text="Why it was rejected, or why it runs native.")
    progress = models.CharField(max_length=64, blank=True, editable=False)
    task_id = models.CharField(max_length=64, blank=True, editable=False)
    runtime = models.CharField(max_length=8, choices=Runtime, blank=True, editable=False)
    served_digest = models.CharField(
        max_length=64, blank=True, editable=False, help_text="SHA-256 of what the runtime loads: the compiled ONNX."
    )
    signature = models.JSONField(default=dict, editable=False)
    report = models.JSONField(default=dict, editable=False, help_text="What publishing found, step by step.")
    created_by = models.CharField(max_length=150, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    ready_at = models.DateTimeField(null=True, editable=False)
    retired_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["model_id", "-number"]
        verbose_name = "version"
        constraints = [
            models.UniqueConstraint(fields=["model", "number"], name="one_version_per_number"),
            models.UniqueConstraint(
                fields=["model", "digest", "configuration_digest"],
                condition=~Q(status="rejected"),
                name="one_version_per_content",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model} {self.number}"

    def parsed_signature(self) -> Signature:
        return Signature.from_json(self.signature)
