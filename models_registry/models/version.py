"""Registered models and their versions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone

from models_registry import errors
from models_registry.models.access import Project
from models_registry.models.event import DeploymentEvent
from models_registry.names import check_name
from models_registry.runtime.signature import Signature
from monitoring import privacy as privacy_policy
from monitoring.ids import mint

#: Longest one attempt may take, and most open predictions a model may have.
HARD_LIMIT_MOST_S = 3600.0
OPEN_LIMIT_MOST = 10_000_000
#: Longest an answer may be given again from the response cache.
CACHE_TTL_MOST_S = 86_400.0

#: Who else may need a version: each answers with a sentence, or None. Rooms to the left add theirs (see
#: `predictions.apps`), because this one may not ask them.
blockers: list[Callable[[ModelVersion], str | None]] = []


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
    cache_ttl_s = models.FloatField(
        default=0.0,
        validators=[MinValueValidator(0.0), MaxValueValidator(CACHE_TTL_MOST_S)],
        help_text="Seconds an answer is given again to an equal input, from the response cache; 0: every call runs.",
    )
    privacy = models.JSONField(
        default=dict,
        blank=True,
        help_text="What is done to fields before anything is stored: "
        '{"input.email": "drop", "input.name": "hash", "output.score": "mask"}.',
    )
    is_served = models.BooleanField(
        default=True, editable=False, help_text="False: no version of it answers, and none is loaded."
    )
    record_days = models.PositiveIntegerField(
        null=True, blank=True, help_text="Days a record of this model is kept; empty: as long as the site keeps them."
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
        try:
            self._checked(self.privacy)
        except errors.InvalidInput as error:
            raise ValidationError({"privacy": error.message}) from error

    @classmethod
    def register(cls, project: Project, name: str, **limits: Any) -> RegisteredModel:
        """Make a model without versions; `limits` as in `configure`. Raises `InvalidInput`, `Conflict` if it exists."""
        with transaction.atomic():
            model, is_new = cls.objects.get_or_create(project=project, name=check_name(name))
            if not is_new:
                raise errors.Conflict(f"model {name} exists", field="name")
            return model.configure(**limits) if limits else model

    @classmethod
    def lock(cls, pk: int) -> None:
        """Hold the model until the transaction ends: what answers changes by one hand at a time."""
        cls.objects.select_for_update().get(pk=pk)

    def discard_if_empty(self) -> None:
        """Undo a registration whose first upload was refused; a model that has versions stays."""
        with transaction.atomic():
            RegisteredModel.lock(self.pk)
            if not self.versions.exists():
                self.delete()

    def serve(self, is_served: bool, *, who: str) -> None:
        """Let its versions answer, or none of them, whatever the aliases say; an event tells when that changed."""
        with transaction.atomic():
            RegisteredModel.lock(self.pk)
            self.refresh_from_db(fields=["is_served"])
            if self.is_served == is_served:
                return
            self.is_served = is_served
            self.save(update_fields=["is_served"])
            verb = DeploymentEvent.Verb.LOADED if is_served else DeploymentEvent.Verb.UNLOADED
            DeploymentEvent.objects.create(model=self, verb=verb, who=who)

    def configure(
        self,
        *,
        description: str | None = None,
        pool: str | None = None,
        hard_limit_s: float | None = None,
        open_limit: int | None = None,
        cache_ttl_s: float | None = None,
        privacy: dict[str, str] | None = None,
        record_days: int | None = None,
    ) -> RegisteredModel:
        """Change what is given: words, pool, limit and cache in seconds, open predictions, privacy, days of records.

        `record_days` 0 is as long as the site keeps them. Raises `InvalidInput`.
        """
        if pool is not None and pool not in settings.POOLS:
            raise errors.InvalidInput(f"a pool is one of {', '.join(settings.POOLS)}", field="pool")
        if hard_limit_s is not None and not 0 < hard_limit_s <= HARD_LIMIT_MOST_S:
            raise errors.InvalidInput(
                f"a hard limit is above 0 and at most {HARD_LIMIT_MOST_S} s", field="hard_limit_s"
            )
        if open_limit is not None and not 0 <= open_limit <= OPEN_LIMIT_MOST:
            raise errors.InvalidInput(f"an open limit is 0 to {OPEN_LIMIT_MOST}", field="open_limit")
        if cache_ttl_s is not None and not 0 <= cache_ttl_s <= CACHE_TTL_MOST_S:
            raise errors.InvalidInput(f"answers are cached for 0 to {CACHE_TTL_MOST_S} s", field="cache_ttl_s")
        given = {
            **{"description": description, "pool": pool, "hard_limit_s": hard_limit_s, "open_limit": open_limit},
            **{"cache_ttl_s": cache_ttl_s, "privacy": None if privacy is None else self._checked(privacy)},
        }
        if record_days is not None and not 0 <= record_days <= settings.SERVING["RECORD_RETENTION_S"] / 86_400:
            most = int(settings.SERVING["RECORD_RETENTION_S"] // 86_400)
            raise errors.InvalidInput(
                f"records are kept for 1 to {most} days; 0: as the site does", field="record_days"
            )
        changed: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if record_days is not None:
            changed["record_days"] = record_days or None
        for name, value in changed.items():
            setattr(self, name, value)
        if changed:
            self.save(update_fields=list(changed))
        return self

    def _checked(self, policy: dict[str, str]) -> dict[str, str]:
        """A privacy that names fields of this model; a misspelt one would protect nothing. Raises `InvalidInput`."""
        try:
            checked = privacy_policy.check(policy)
        except ValueError as error:
            raise errors.InvalidInput(str(error), field="privacy") from error
        known = {name for version in self.versions.exclude(signature={}) for name in version.parsed_signature().fields}
        unknown = sorted(set(checked) - known) if known else []
        if unknown:
            raise errors.InvalidInput(f"the model has no field {', '.join(unknown[:5])}", field="privacy")
        return checked


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

    def retire(self, *, who: str, why: str = "") -> ModelVersion:
        """End the version: it answers nothing any more. Retiring again changes nothing.

        Raises `Conflict` while an alias or an open prediction needs it, or when it is not ready.
        """
        with transaction.atomic():
            RegisteredModel.lock(self.model_id)
            version = ModelVersion.objects.select_related("model").get(pk=self.pk)
            if version.status == self.Status.RETIRED:
                return version
            version._check_unneeded()
            version.status = self.Status.RETIRED
            version.retired_at = timezone.now()
            version.save(update_fields=["status", "retired_at"])
            version.model.events.create(
                verb=DeploymentEvent.Verb.RETIRED, from_version=version.number, who=who, why=why
            )
        return version

    def _check_unneeded(self) -> None:
        if self.status != self.Status.READY:
            raise errors.Conflict(f"version {self.number} is {self.status}: only a ready one can be retired")
        names = list(self.aliases.values_list("name", flat=True))
        if names:
            raise errors.Conflict(f"version {self.number} answers for alias {', '.join(names)}: move that first")
        for blocker in blockers:
            reason = blocker(self)
            if reason:
                raise errors.Conflict(reason)


class UploadKey(models.Model):
    """An `Idempotency-Key` of an upload: repeated with the same body it names the same version."""

    project = models.ForeignKey("models_registry.Project", on_delete=models.CASCADE, related_name="upload_keys")
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="upload_keys")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "key"], name="one_upload_per_key")]

    def __str__(self) -> str:
        return self.key
