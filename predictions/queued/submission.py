"""Before the queue: admit → commit together with whoever else commits now → nudge."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db import Error as DatabaseError

from models_registry import errors
from models_registry.routing import Route
from models_registry.runtime.coalescer import Coalescer
from models_registry.snapshot import Principal
from predictions.protocols import instances
from predictions.protocols.replicate import Manner, Wish
from predictions.queued import ledger, nudges
from predictions.queued.admission import GATE
from predictions.queued.ledger import Accepted, Draft

#: One group's bounds: requests, and bytes of input.
GROUP_ITEMS = 256
GROUP_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, ready to be submitted. `input` is its input object as JSON, `body` what its key is compared by."""

    principal: Principal
    route: Route
    wish: Wish
    manner: Manner
    input: bytes
    body: bytes
    request_id: str = ""


def submit(asked: Asked, *, identifier: UUID, timeout: float) -> tuple[Accepted, Draft]:
    """Make the request a row, or find the row its key already made. When this returns, it is committed.

    Raises `InvalidInput` and `TooLarge` (the input), `QuotaExceeded` and `Unavailable` (limits, the database),
    `OutcomeUnknown` naming the id when no answer came within `timeout` seconds.
    """
    limits = settings.SERVING
    version = asked.route.version
    request = instances.decode(asked.wish.input, version.signature, row_limit=limits["ROW_LIMIT"])
    deadline_s = asked.manner.deadline_s or limits["PREDICTION_DEADLINE_S"]
    draft = _draft(asked, identifier, rows=request.rows, deadline_s=deadline_s)
    try:
        GATE.admit(asked.principal, version, deadline_s=deadline_s)
    except (errors.QuotaExceeded, errors.Unavailable):
        earlier = _standing(draft)  # a repeated request asks for nothing new
        if earlier is None:
            raise
        return earlier, draft
    accepted = _commit(draft, timeout)
    if not accepted.replayed:
        GATE.count(version)
        nudges.PUBLISHER.hint([_nudge(draft)])
    return accepted, draft


def _draft(asked: Asked, identifier: UUID, *, rows: int, deadline_s: float) -> Draft:
    version = asked.route.version
    key = asked.manner.idempotency_key
    return Draft(
        id=identifier,
        project_id=asked.principal.project_id,
        project=asked.principal.project,
        key=asked.principal.key[:12],
        request_id=asked.request_id,
        model=version.model,
        version=version.number,
        version_id=version.id,
        digest=version.digest,
        route=asked.route.reason,
        pool=version.pool,
        priority=asked.wish.priority,
        rows=rows,
        input=asked.input,
        deadline_s=deadline_s,
        idempotency_key=key,
        body_hash=hashlib.sha256(asked.body).hexdigest() if key is not None else "",
    )


def _nudge(draft: Draft) -> nudges.Nudge:
    return nudges.Nudge(draft.id, draft.version_id, draft.pool, draft.priority, draft.rows, len(draft.input))


def _standing(draft: Draft) -> Accepted | None:
    earlier = ledger.standing(draft.project_id, draft.idempotency_key, draft.body_hash)
    if isinstance(earlier, Exception):
        raise earlier
    return earlier


def _commit(draft: Draft, timeout: float) -> Accepted:
    try:
        return COMMITTER.submit(draft, size=len(draft.input), timeout=timeout)
    except TimeoutError:
        raise errors.OutcomeUnknown(
            f"the commit was not confirmed in time; prediction {draft.id} may have been accepted", retry_after=1
        ) from None
    except DatabaseError as error:
        raise errors.Unavailable(f"the ledger cannot be written now: {error}", retry_after=1) from error


def _accept(drafts: list[Draft]) -> Sequence[Accepted | BaseException]:
    return ledger.accept(drafts)


COMMITTER: Coalescer[Draft, Accepted] = Coalescer(
    _accept, max_items=GROUP_ITEMS, max_bytes=GROUP_BYTES, name="committer"
)
