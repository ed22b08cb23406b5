"""The history of what answers: one event per change, never edited."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class DeploymentEvent(models.Model):
    """One change of what answers; append-only, so "who served at time t" has an answer."""

    class Verb(models.TextChoices):
        SET = "set"
        ROLLED_BACK = "rolled back"
        REMOVED = "removed"
        RETIRED = "retired"
        LOADED = "loaded"
        UNLOADED = "unloaded"

    model = models.ForeignKey("models_registry.RegisteredModel", on_delete=models.CASCADE, related_name="events")
    alias = models.CharField(max_length=64, blank=True)
    verb = models.CharField(max_length=12, choices=Verb)
    from_version = models.PositiveIntegerField(null=True)
    to_version = models.PositiveIntegerField(null=True)
    who = models.CharField(max_length=150)
    why = models.TextField(blank=True)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-id"]
        verbose_name = "event"

    def __str__(self) -> str:
        return f"{self.model} {self.alias} {self.from_version or '–'} → {self.to_version or '–'}"
