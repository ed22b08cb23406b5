"""Projects and their API keys."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime

from django.db import models
from django.utils import timezone

from models_registry import errors
from models_registry.names import check_name

#: What a key may do. `manage` covers aliases, retiring and keys; `metrics` reads `/metrics`.
SCOPES = ("predict", "read", "publish", "manage", "metrics")

#: Fixed prefix, so that secret scanners find a key that leaked.
KEY_PREFIX = "sbk_"


class Project(models.Model):
    """A tenant: models, keys and predictions belong to exactly one, and names are unique within it."""

    name = models.CharField(max_length=64, unique=True)
    open_limit = models.PositiveIntegerField(
        default=10_000, help_text="Most predictions of this project that may be unfinished at once."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        check_name(self.name)

    @classmethod
    def start(cls, name: str) -> Project:
        """Make a project; raises `InvalidInput`, `Conflict` if it exists."""
        project, is_new = cls.objects.get_or_create(name=check_name(name))
        if not is_new:
            raise errors.Conflict(f"project {name} exists", field="name")
        return project


class ApiKey(models.Model):
    """A key of a project. Only its SHA-256 is stored: 256 random bits need no slow hash."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="keys")
    name = models.CharField(max_length=64, help_text="What the key is for.")
    prefix = models.CharField(max_length=12, editable=False, help_text="The first characters, to recognise it by.")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(default=list)
    model_names = models.JSONField(
        null=True, blank=True, help_text="Models the key may use, as a list of names; empty: all of the project's."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-id"]
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.prefix}… ({self.name})"

    @classmethod
    def issue(
        cls,
        project: Project,
        name: str,
        *,
        scopes: Iterable[str],
        model_names: list[str] | None = None,
        expires_at: datetime | None = None,
    ) -> tuple[ApiKey, str]:
        """Make a key; return the row and the secret, which is shown this once and never again."""
        wanted = list(dict.fromkeys(scopes))
        unknown = [scope for scope in wanted if scope not in SCOPES]
        if unknown or not wanted:
            raise errors.InvalidInput(f"scopes are among {', '.join(SCOPES)}", field="scopes")
        if not name.strip() or len(name) > 64:
            raise errors.InvalidInput("a key has a name of 1 to 64 characters: what it is for", field="name")
        if expires_at is not None and expires_at <= timezone.now():
            raise errors.InvalidInput("a key expires in the future", field="expires_at")
        secret = KEY_PREFIX + secrets.token_urlsafe(32)
        key = cls.objects.create(
            project=project,
            name=name,
            prefix=secret[:12],
            digest=digest_of(secret),
            scopes=wanted,
            model_names=model_names or None,
            expires_at=expires_at,
        )
        return key, secret

    @classmethod
    def named(cls, wanted: str, *, project_id: int) -> ApiKey:
        """The project's key by id or by its first characters; raises `NotFound`, `Conflict` if several begin so."""
        mine = cls.objects.filter(project_id=project_id).select_related("project")
        if wanted.isascii() and wanted.isdigit() and len(wanted) < 19:
            found = list(mine.filter(pk=int(wanted)))
        else:
            found = list(mine.filter(prefix=wanted.replace("\x00", ""))[:2])
        if len(found) > 1:
            raise errors.Conflict(f"several keys begin with {wanted}: name one by its id")
        if not found:
            raise errors.NotFound("key not found")
        return found[0]

    def revoke(self) -> None:
        """End the key; every process refuses it within a second. Revoking again changes nothing."""
        if self.revoked_at is None:
            self.revoked_at = timezone.now()
            self.save(update_fields=["revoked_at"])


def digest_of(secret: str) -> str:
    """SHA-256 of a key's secret, hexadecimal: what is stored and compared."""
    return hashlib.sha256(secret.encode()).hexdigest()
