"""Exports as jobs: records written into a file by a Celery task, with progress, bounded in size and time."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import F, Q
from django.http import QueryDict
from django.utils import timezone

from monitoring import formats, stores
from monitoring.api import queries
from monitoring.asked import Export
from monitoring.stores.base import Query, StoreUnavailable

logger = logging.getLogger(__name__)

#: Exports of one project that have not expired.
MOST_KEPT = 20
#: A writer tells how far it is this often, and is taken for dead after so long without a word, seconds.
BEAT_S, SILENT_S = 1.0, 60.0


class TooManyExports(Exception):
    """The project keeps as many exports as it may; some have to be removed first."""


class Stopped(Exception):
    """The export was canceled or given to another writer."""


def query_of(project: str, conditions: str) -> Query:
    """The query of stored conditions (a query string). Raises `InvalidParameters`."""
    return queries.read(QueryDict(conditions), project=project)


def ask(project: str, *, who: str, form: str, conditions: str) -> Export:
    """Note an export; `monitoring.tasks.write_export` writes it. Raises `TooManyExports`, `InvalidParameters`."""
    query_of(project, conditions)
    expire()
    if Export.objects.filter(project=project).count() >= MOST_KEPT:
        raise TooManyExports(f"a project keeps at most {MOST_KEPT} exports: remove one first")
    until = timezone.now() + timedelta(seconds=settings.SERVING["EXPORT_TTL_S"])
    return Export.objects.create(project=project, who=who, format=form, conditions=conditions, expires_at=until)


def write(identifier: UUID) -> None:
    """Write the file of an export that waits, or whose writer fell silent; nothing when another one writes."""
    silent = timezone.now() - timedelta(seconds=SILENT_S)
    waits = Q(state=Export.State.WAITING) | Q(state=Export.State.RUNNING, beat_at__lt=silent)
    claimed = Export.objects.filter(waits, pk=identifier).update(
        state=Export.State.RUNNING, done=0, beat_at=(claim := timezone.now())
    )
    if not claimed:
        return
    export = Export.objects.get(pk=identifier)
    unfinished = path_of(export).with_suffix(f".{claim.timestamp():.6f}.part")
    try:
        _write(export, unfinished)
    except Stopped:
        logger.info("export %s was stopped", identifier, extra={"action": "export_stopped"})
    except (StoreUnavailable, OSError, ValueError) as error:
        _fail(export, str(error)[:500])
    finally:
        unfinished.unlink(missing_ok=True)


def _write(export: Export, unfinished: Path) -> None:
    query = query_of(export.project, export.conditions)
    query = replace(query, until=query.until or datetime.now(UTC))
    store = stores.open_store()
    Export.objects.filter(pk=export.pk).update(total=store.count(query))
    progress = _Progress(export)
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with unfinished.open("wb") as file:
        for piece in formats.pieces(progress.counted(store.stream(query)), export.format):
            written += file.write(piece)
            if written > settings.SERVING["EXPORT_LIMIT"]:
                raise ValueError(f"the export exceeds {settings.SERVING['EXPORT_LIMIT']} bytes: ask for less")
        file.flush()
        os.fsync(file.fileno())
    progress.tell()
    unfinished.replace(path_of(export))
    ready = {"state": Export.State.READY, "size_bytes": written, "finished_at": timezone.now()}
    if not progress.mine().update(**ready):
        path_of(export).unlink(missing_ok=True)
        raise Stopped


class _Progress:
    """Tells the row once a second how many records were written; raises `Stopped` when it is not this writer's."""

    def __init__(self, export: Export) -> None:
        self._export = export
        self._beat = export.beat_at
        self._done = 0
        self._told = time.monotonic()

    def counted(self, found: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for document in found:
            self._done += 1
            if self._done % 100 == 0 and time.monotonic() - self._told >= BEAT_S:
                self.tell()
            yield document

    def tell(self) -> None:
        now = timezone.now()
        if not self.mine().update(done=self._done, beat_at=now):
            raise Stopped
        self._beat, self._told = now, time.monotonic()

    def mine(self) -> Any:
        return Export.objects.filter(pk=self._export.pk, state=Export.State.RUNNING, beat_at=self._beat)


def _fail(export: Export, reason: str) -> None:
    logger.warning("export %s failed: %s", export.pk, reason, extra={"action": "export_failed"})
    running = Export.objects.filter(pk=export.pk, state=Export.State.RUNNING)
    running.update(state=Export.State.FAILED, error=reason, finished_at=timezone.now())


def remove(export: Export) -> None:
    """End it if it runs, and drop its file and its row."""
    Export.objects.filter(pk=export.pk).delete()
    path_of(export).unlink(missing_ok=True)


def expire() -> int:
    """Drop exports past their time, and files without a row; returns how many exports."""
    gone = list(Export.objects.filter(expires_at__lte=timezone.now()))
    for export in gone:
        remove(export)
    with contextlib.suppress(FileNotFoundError):
        for path in folder().iterdir():
            if time.time() - path.stat().st_mtime > settings.SERVING["EXPORT_TTL_S"] + SILENT_S:
                path.unlink(missing_ok=True)
    return len(gone)


def waiting() -> list[UUID]:
    """Exports nobody writes although somebody should: their message went missing, or their writer died."""
    silent = timezone.now() - timedelta(seconds=SILENT_S)
    lost = Q(state=Export.State.WAITING, created_at__lt=silent) | Q(state=Export.State.RUNNING, beat_at__lt=silent)
    return list(Export.objects.filter(lost, expires_at__gt=F("created_at")).values_list("pk", flat=True))


def folder() -> Path:
    return Path(settings.EXPORTS_DIR)


def path_of(export: Export) -> Path:
    """Where the file of an export lies once it is ready."""
    return folder() / f"{export.pk}.{export.format}"
