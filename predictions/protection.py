"""The privacy of a model at work on both doors: what its record may hold, and what stands for a subject."""

from __future__ import annotations

import re
import time
from typing import Any
from uuid import UUID

from django.conf import settings

from models_registry import errors, reading, snapshot
from models_registry.principals import Principal
from models_registry.routing import Version
from models_registry.runtime.signature import Signature
from monitoring import privacy
from monitoring.privacy import Guard

#: Seconds for which the version of a row is remembered that is not in the snapshot.
REMEMBERED_S = 5.0
_MOST = 1_000

_SUBJECT = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,254}[\x21-\x7e])?")

_guards: dict[tuple[UUID, tuple[tuple[str, str], ...]], Guard] = {}
_pinned: dict[UUID, tuple[float, Version | None]] = {}


def subject_of(header: str, principal: Principal) -> str:
    """The keyed hash of the subject that a request names in `X-Subject-ID`; raises `InvalidInput`."""
    if not header:
        return ""
    if not _SUBJECT.fullmatch(header):
        raise errors.InvalidInput("a subject is 1 to 256 printable ASCII characters", field="X-Subject-ID")
    return privacy.subject_of(header, project=principal.project, key=settings.PRIVACY_KEY)


def guard_of(version: Version) -> Guard | None:
    """What protects the fields of this version; None when its model has no privacy."""
    if not version.privacy:
        return None
    found = _guards.get((version.id, version.privacy))
    if found is None:
        if len(_guards) >= _MOST:
            _guards.clear()
        found = _guards[version.id, version.privacy] = _made(version)
    return found


def guard_of_row(version_id: UUID) -> Guard | None:
    """The same for a row of the ledger, whose version may be retired by now."""
    version = snapshot.current().versions.get(version_id)
    if version is None:
        until, version = _pinned.get(version_id, (0.0, None))
        if time.monotonic() > until:
            version = reading.pinned(version_id)
            if len(_pinned) >= _MOST:
                _pinned.clear()
            _pinned[version_id] = time.monotonic() + REMEMBERED_S, version
    return guard_of(version) if version is not None else None


def _made(version: Version) -> Guard:
    policy = dict(version.privacy)
    for spec in version.signature.inputs:
        action = policy.get(f"input.{spec.name}")
        for column in spec.columns if action else ():
            policy.setdefault(f"input.{column}", str(action))
    return Guard(policy, version.project, settings.PRIVACY_KEY, columns=columns_of(version.signature))


def columns_of(signature: Signature) -> tuple[str, ...]:
    """Names of the values of a row that is a list, in the order of the signature."""
    return tuple(name for spec in signature.inputs for name in (spec.columns or (spec.name,)))


def classes_of_row(version_id: UUID) -> tuple[Any, ...]:
    """The classes that name the columns of a row's probabilities."""
    guard_of_row(version_id)
    version = snapshot.current().versions.get(version_id) or _pinned.get(version_id, (0.0, None))[1]
    return tuple(version.signature.classes) if version is not None else ()
