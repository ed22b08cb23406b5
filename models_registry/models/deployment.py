"""Which version answers: aliases, moved under a lock of their model: every change has one before and one after."""

from __future__ import annotations

from django.db import connection, models, transaction
from django.db.models import F
from django.dispatch import Signal

from models_registry import errors
from models_registry.models.event import DeploymentEvent
from models_registry.models.version import ModelVersion, RegisteredModel
from models_registry.names import check_alias

#: Sent in this process once a change of the registry is committed, so that it need not wait for the next look.
registry_changed = Signal()


class Alias(models.Model):
    """A movable name for a version; traffic follows it without a restart."""

    model = models.ForeignKey(RegisteredModel, on_delete=models.CASCADE, related_name="aliases")
    name = models.CharField(max_length=64)
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="aliases")

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "aliases"
        constraints = [models.UniqueConstraint(fields=["model", "name"], name="one_alias_per_name")]

    def __str__(self) -> str:
        return f"{self.model}@{self.name}"

    @classmethod
    def point(cls, version: ModelVersion, name: str, *, who: str, why: str = "") -> Alias:
        """Let the alias answer with this version; pointing where it points already changes nothing.

        Raises `InvalidInput` for a name no alias can have, `Conflict` unless the version is ready.
        """
        check_alias(name)
        with transaction.atomic():
            RegisteredModel.lock(version.model_id)
            version = ModelVersion.objects.get(pk=version.pk)
            if version.status != ModelVersion.Status.READY:
                raise errors.Conflict(f"version {version.number} is {version.status}, not ready", field="version")
            alias = Alias.objects.select_related("version").filter(model_id=version.model_id, name=name).first()
            if alias is not None and alias.version_id == version.pk:
                return alias
            before = alias.version.number if alias else None
            alias = alias or Alias(model_id=version.model_id, name=name)
            alias.version = version
            alias.save()
            alias._tell(DeploymentEvent.Verb.SET, before, version.number, who=who, why=why)
        return alias

    def roll_back(self, *, who: str, why: str = "") -> Alias:
        """Point back at the version that answered before the last change; raises `Conflict` if none is left."""
        with transaction.atomic():
            alias = self._locked()
            current = alias.version.number
            earlier = alias._version_before()
            if earlier is None:
                raise errors.Conflict(f"alias {self.name} has no earlier ready version to go back to", field="alias")
            alias.version = earlier
            alias.save()
            alias._tell(DeploymentEvent.Verb.ROLLED_BACK, current, earlier.number, who=who, why=why)
        return alias

    def remove(self, *, who: str, why: str = "") -> None:
        """Take the name away; requests for it are then answered 404."""
        with transaction.atomic():
            alias = self._locked()
            alias._tell(DeploymentEvent.Verb.REMOVED, alias.version.number, None, who=who, why=why)
            alias.delete()

    def _locked(self) -> Alias:
        """This alias as it stands now, with its model locked; raises `NotFound` if it was removed meanwhile."""
        RegisteredModel.lock(self.model_id)
        alias = Alias.objects.select_related("version", "model").filter(pk=self.pk).first()
        if alias is None:
            raise errors.NotFound(f"alias {self.name} not found")
        return alias

    def _version_before(self) -> ModelVersion | None:
        """Walk the history backwards past its own rollbacks, so that rolling back twice goes back two steps."""
        undone = 0
        for event in self.model.events.filter(alias=self.name).order_by("-id").iterator(chunk_size=100):
            if event.verb == DeploymentEvent.Verb.ROLLED_BACK:
                undone += 1
            elif event.verb == DeploymentEvent.Verb.SET and undone:
                undone -= 1
            elif event.verb == DeploymentEvent.Verb.SET and event.from_version is not None:
                return self.model.versions.filter(number=event.from_version, status=ModelVersion.Status.READY).first()
            else:
                return None
        return None

    def _tell(self, verb: str, before: int | None, after: int | None, *, who: str, why: str) -> None:
        DeploymentEvent.objects.create(
            model_id=self.model_id, alias=self.name, verb=verb, from_version=before, to_version=after, who=who, why=why
        )


class RegistryRevision(models.Model):
    """One row that counts the registry's changes, so that every process notices one with one cheap query."""

    revision = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return str(self.revision)

    @classmethod
    def bump(cls) -> None:
        """Count a change; called in the transaction that makes it (see `models_registry.apps`)."""
        if not cls.objects.filter(pk=1).update(revision=F("revision") + 1):
            cls.objects.get_or_create(pk=1, defaults={"revision": 1})
        transaction.on_commit(lambda: registry_changed.send(cls), robust=True)

    @classmethod
    def current(cls) -> int:
        # Asked four times a second: Django takes eight times as long to make this statement as the database to answer.
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT revision FROM {cls._meta.db_table} WHERE id = 1")  # noqa: S608 - a constant
            row = cursor.fetchone()
        return int(row[0]) if row else 0
