"""Backup and restore of what cannot be made again: tables, artefacts, records. One zip file, readable without us.

    manifest.json              format, when, how many of each
    tables/<app.Model>.jsonl   Django's own serialisation, one row a line, in an order that restores
    artifacts/<digest>         the files, named by their SHA-256
    records.jsonl              documents of the record store, oldest first

It knows no engine: what was taken from SQLite goes into PostgreSQL, what was in the database into Elasticsearch.
Not in it: sessions, logs, samples, caches, and the spool, whose calls are records a second later.
"""

from __future__ import annotations

import itertools
import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from django.apps import apps
from django.core import serializers
from django.core.management.color import no_style
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction
from django.utils import timezone

from models_registry import artifacts
from models_registry.models import ModelVersion
from monitoring import documents, stores
from monitoring.stores.base import Outcome, Query

FORMAT = 1
#: In this order a row comes after all it points at.
TABLES = (
    "auth.Group",
    "auth.User",
    "models_registry.Project",
    "models_registry.ApiKey",
    "models_registry.RegisteredModel",
    "models_registry.ModelVersion",
    "models_registry.Alias",
    "models_registry.DeploymentEvent",
    "models_registry.UploadKey",
    "models_registry.RegistryRevision",
    "predictions.Prediction",
    "monitoring.SavedSearch",
    "monitoring.Erasure",
)
#: Records and rows handled at a time.
BATCH = 500

Progress = Callable[[str, int], None]


class Unusable(Exception):
    """A backup that cannot be read, or a place that it cannot be restored into; the sentence says which and why."""


@dataclass(slots=True)
class Contents:
    """How many of each a backup holds."""

    tables: dict[str, int] = field(default_factory=dict)
    artifacts: int = 0
    records: int = 0


def write(path: Path, *, progress: Progress = lambda what, done: None) -> Contents:
    """Write a backup of this deployment to `path`, whole or not at all; servers may run meanwhile.

    Tables are of one moment; records and artefacts are read after it and may be newer.
    """
    contents = Contents()
    draft = path.with_name(f"{path.name}.part")
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
        digests = set()
        with _one_moment():
            for label in TABLES:
                contents.tables[label] = _write_table(archive, label, progress)
            for version in ModelVersion.objects.iterator():
                digests |= {version.digest, version.served_digest, version.sample_digest} - {""}
        for digest in sorted(digests):
            archive.write(artifacts.local_path(digest), f"artifacts/{digest}", zipfile.ZIP_STORED)
            contents.artifacts += 1
            progress("artifacts", contents.artifacts)
        contents.records = _write_records(archive, progress)
        archive.writestr("manifest.json", json.dumps(_manifest(contents), indent=2))
    draft.replace(path)
    return contents


def restore(path: Path, *, progress: Progress = lambda what, done: None) -> Contents:
    """Put a backup into a deployment whose tables are there and empty of models, predictions and users.

    All rows or none; artefacts and records are named by content and id, so a second try meets the first one's in peace.
    Raises `Unusable` before anything is written when the file or the place is not fit for it.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise Unusable(f"{path} cannot be read as a backup: {error}") from error
    with archive:
        contents = _contents(archive)
        _refuse_unless_empty()
        for name in (name for name in archive.namelist() if name.startswith("artifacts/")):
            _restore_artifact(archive, name)
        with transaction.atomic():
            for label in TABLES:
                _restore_table(archive, label, progress)
            _reset_sequences()
        _restore_records(archive, progress)
    return contents


class _Exact(DjangoJSONEncoder):
    """Django's encoder cuts moments to milliseconds; a row comes back as it was."""

    def default(self, value: Any) -> Any:
        return value.isoformat() if isinstance(value, datetime) else super().default(value)


@contextmanager
def _one_moment() -> Iterator[None]:
    """A transaction that sees the database as it is now, whatever is written meanwhile."""
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def _write_table(archive: zipfile.ZipFile, label: str, progress: Progress) -> int:
    count = 0
    with archive.open(f"tables/{label}.jsonl", "w", force_zip64=True) as file:
        rows = apps.get_model(label)._default_manager.order_by("pk").iterator(BATCH)
        while batch := list(itertools.islice(rows, BATCH)):
            text = serializers.serialize("jsonl", batch, use_natural_foreign_keys=True, cls=_Exact)
            file.write(text.encode())
            count += len(batch)
            progress(label, count)
    return count


def _write_records(archive: zipfile.ZipFile, progress: Progress) -> int:
    count = 0
    with archive.open("records.jsonl", "w", force_zip64=True) as file:
        for document in stores.open_store().stream(Query(project=None)):
            file.write(documents.encode(document) + b"\n")
            count += 1
            if count % BATCH == 0:
                progress("records", count)
    return count


def _manifest(contents: Contents) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "made_at": timezone.now().isoformat(),
        "tables": contents.tables,
        "artifacts": contents.artifacts,
        "records": contents.records,
    }


def _contents(archive: zipfile.ZipFile) -> Contents:
    try:
        found = json.loads(archive.read("manifest.json"))
    except (KeyError, ValueError) as error:
        raise Unusable("it has no manifest.json: not a backup, or one that was not finished") from error
    if found["format"] != FORMAT:
        raise Unusable(f"its format is {found['format']}, this code reads {FORMAT}")
    if damaged := archive.testzip():
        raise Unusable(f"{damaged} in it is damaged")
    return Contents(found["tables"], found["artifacts"], found["records"])


def _refuse_unless_empty() -> None:
    for label in ("auth.User", "models_registry.RegisteredModel", "predictions.Prediction"):
        if apps.get_model(label)._default_manager.exists():
            raise Unusable(f"there are rows of {label} already; restore into an empty database (after `migrate`)")


def _restore_artifact(archive: zipfile.ZipFile, name: str) -> None:
    wanted = name.removeprefix("artifacts/")
    with archive.open(name) as file:
        digest, _ = artifacts.put(file, limit=archive.getinfo(name).file_size)  # type: ignore[arg-type]
    if digest != wanted:
        raise Unusable(f"{name} is not what its name says")


def _restore_table(archive: zipfile.ZipFile, label: str, progress: Progress) -> None:
    model = apps.get_model(label)
    model._default_manager.all().delete()
    count = 0
    with archive.open(f"tables/{label}.jsonl") as file:
        for batch in _lines(file):
            rows = list(serializers.deserialize("jsonl", "\n".join(batch)))
            # Past `save()`: rows are what they were, and tell nobody that they were made.
            model._default_manager.bulk_create([row.object for row in rows])
            for row in rows:
                for name, values in (row.m2m_data or {}).items():
                    getattr(row.object, name).set(values)
            count += len(rows)
            progress(label, count)


def _restore_records(archive: zipfile.ZipFile, progress: Progress) -> None:
    store, count = stores.open_store(), 0
    with archive.open("records.jsonl") as file:
        for batch in _lines(file):
            records = [documents.from_document(documents.decode(line.encode())) for line in batch]
            refused = [what for what in store.create(records) if what not in (Outcome.STORED, Outcome.DUPLICATE)]
            if refused:
                raise Unusable(f"the record store refused {len(refused)} of {len(batch)} records ({refused[0].value})")
            count += len(batch)
            progress("records", count)


def _lines(file: IO[bytes]) -> Iterator[list[str]]:
    lines = (line.decode().rstrip("\n") for line in file)
    while batch := list(itertools.islice((line for line in lines if line), BATCH)):
        yield batch


def _reset_sequences() -> None:
    """New rows get numbers behind the restored ones."""
    models = [apps.get_model(label) for label in TABLES]
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), models):
            cursor.execute(statement)
