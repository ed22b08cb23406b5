"""Before the steps: an upload becomes an artefact and a row, and a task is asked for after the commit."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import threading
import uuid
from datetime import timedelta
from typing import Any, BinaryIO

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from models_registry import artifacts, errors
from models_registry.models import Alias, ModelVersion, RegisteredModel
from models_registry.names import check_alias
from models_registry.publishing import examples as golden
from models_registry.publishing import formats

logger = logging.getLogger(__name__)

#: Largest CSV of sample rows, bytes.
SAMPLE_LIMIT = 32 * 2**20


def submit(
    model: RegisteredModel,
    file: BinaryIO | bytes,
    *,
    filename: str,
    sample: BinaryIO | bytes | None,
    examples: Any,
    alias: str | None,
    who: str,
    why: str,
    enqueue: bool,
) -> ModelVersion:
    """See `models_registry.publishing.submit`."""
    requested = _requested(alias, why, examples)
    stream = io.BytesIO(file) if isinstance(file, bytes) else file
    format_ = formats.recognise(stream)
    digest, size = artifacts.put(stream)
    sample_digest = artifacts.put(_rewound(sample), limit=SAMPLE_LIMIT)[0] if sample else ""
    content = {
        "digest": digest,
        "configuration_digest": _configuration_digest(sample_digest, requested.get("examples")),
    }
    with transaction.atomic():
        RegisteredModel.lock(model.pk)
        known = model.versions.filter(**content).exclude(status=ModelVersion.Status.REJECTED).first()
        if known is not None:
            return _ask_again(known, requested, who)
        version = ModelVersion.objects.create(
            model=model,
            number=_next_number(model),
            **content,
            format=format_,
            filename=filename[-255:],
            size_bytes=size,
            sample_digest=sample_digest,
            task_id=str(uuid.uuid4()) if enqueue else "",
            created_by=who[:150],
            report={"requested": requested},
        )
        if enqueue:
            transaction.on_commit(lambda: _enqueue(version), robust=True)
    return version


def resume_interrupted(*, older_s: float = 0.0) -> int:
    """Enqueue every version that is still `publishing` after so many seconds, a command's as well; return how many.

    Publishing one twice at a time costs work only: the first end stands.
    """
    before = timezone.now() - timedelta(seconds=older_s)
    versions = list(ModelVersion.objects.filter(status=ModelVersion.Status.PUBLISHING, created_at__lte=before))
    for version in versions:
        if not version.task_id:
            version.task_id = str(uuid.uuid4())
            version.save(update_fields=["task_id"])
        _enqueue(version)
    return len(versions)


def _requested(alias: str | None, why: str, examples: Any) -> dict[str, Any]:
    """What the person asked for beside the bytes. Raises `InvalidInput`."""
    requested: dict[str, Any] = {"why": why[:1000]}
    if alias:
        requested["alias"] = check_alias(alias)
    if examples is not None:
        requested["examples"] = golden.check_shape(examples)
    return requested


def _configuration_digest(sample_digest: str, examples: Any) -> str:
    text = json.dumps({"sample": sample_digest, "examples": examples}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _next_number(model: RegisteredModel) -> int:
    last = model.versions.order_by("-number").values_list("number", flat=True).first()
    return (last or 0) + 1


def _ask_again(known: ModelVersion, requested: dict[str, Any], who: str) -> ModelVersion:
    """The version there is, with the alias pointed at it now or when it becomes ready."""
    alias = requested.get("alias")
    if alias and known.status == ModelVersion.Status.READY:
        Alias.point(known, alias, who=who, why=requested["why"])
    elif alias and known.status == ModelVersion.Status.PUBLISHING:
        known.report = {**known.report, "requested": {**known.report.get("requested", {}), **requested}}
        known.save(update_fields=["report"])
    elif alias:
        raise errors.Conflict(f"these bytes are version {known.number}, which is {known.status}", field="file")
    return known


def _enqueue(version: ModelVersion) -> None:
    """Send the task; off the request where a broker can be slow. What is lost here the keeper finds."""
    if settings.EMBEDDED:
        _send(version)
    else:
        threading.Thread(target=_send, args=(version,), name="enqueue-publishing", daemon=True).start()


def _send(version: ModelVersion) -> None:
    from models_registry.publishing import tasks

    try:
        tasks.publish_version.apply_async(
            args=(str(version.pk),), task_id=version.task_id, queue=settings.OPERATIONS_QUEUE, retry=False
        )
    except Exception:
        logger.warning(
            "publishing was not enqueued; it is tried again", extra={"action": "not_enqueued"}, exc_info=True
        )


def _rewound(file: BinaryIO | bytes) -> BinaryIO | bytes:
    if not isinstance(file, bytes):
        file.seek(0)
    return file
