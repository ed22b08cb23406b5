"""Before the queue: route → admit → commit together with whoever else commits now → nudge.

A repeated `Idempotency-Key` is found by the commit itself, and looked for where a request would be refused before it:
the prediction it asks for exists, whatever has become of its alias, its version or the limits since.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError, connections

from models_registry import errors, snapshot
from models_registry.response_cache import Wish as CacheWish
from models_registry.routing import Route
from models_registry.runtime.coalescer import ThreadedCoalescer
from models_registry.snapshot import Principal
from monitoring import patience
from monitoring.background import Background, Ticker, fresh_connection
from monitoring.logs import context
from predictions.protocols import instances
from predictions.protocols.replicate import Manner, Wish
from predictions.queued import ledger, nudges
from predictions.queued.admission import GATE
from predictions.queued.ledger import Accepted, Draft
from predictions.shifts import SHIFTS

#: One group's bounds: requests, and bytes of input.
GROUP_ITEMS = 256
GROUP_BYTES = 16 * 2**20
#: Seconds the database may be silent while a group commits.
SILENT_S = 3.0
#: Seconds between two looks for requests whose commit takes longer than they may wait.
LATE_S = 0.25
#: A deadlock or a failed serialization rolled everything back: so often the group is tried in all.
TRIES = 3
#: Had by the one request that computes (parses, validates, writes its answer out), never while it waits for anything.
#: The interpreter runs one thread at a time anyway; without this all requests that have arrived compete for it with the
#: threads that commit, run and record, which then have one share among a hundred.
TURN = threading.Lock()
_AGAIN = {"40001", "40P01"}
#: Class of what PostgreSQL says when it goes down, perhaps within a commit.
_SHUT_DOWN = "57P"


Told = Callable[[Draft, Accepted | Exception], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, ready to be submitted. `input` is its input object as JSON, `body` what its key is compared by."""

    principal: Principal
    wish: Wish
    manner: Manner
    input: bytes
    body: bytes
    request_id: str = ""
    subject: str = ""


def submit(asked: Asked, *, identifier: UUID, timeout: float) -> tuple[Accepted, Draft | None]:
    """Make the request a row, or find the row its key already made. When this returns, it is committed.

    The draft is None when its key answered before there was one. Raises `NotFound` and `Forbidden` (the route),
    `InvalidInput` and `TooLarge` (the input), `QuotaExceeded` and `Unavailable` (limits, the database),
    `OutcomeUnknown` naming the id when no answer came within `timeout` seconds.
    """
    try:
        draft = _drafted(asked, identifier)
    except errors.Forbidden:
        raise
    except errors.DomainError:
        earlier = _standing(asked)
        if earlier is None:
            raise
        return earlier, None
    try:
        found: Accepted | BaseException = COMMITTER.submit(draft, size=len(draft.input), timeout=timeout)
    except (TimeoutError, DatabaseError) as error:
        found = error
    accepted = _judged(draft, found)
    if isinstance(accepted, Exception):
        raise accepted
    return accepted, draft


def hand(asked: Asked, then: Told, *, identifier: UUID, timeout: float) -> None:
    """The same for a request without a key, and without waiting: `then` is told the draft and what became of it, in the
    thread that commits. Raises what is refused before."""
    draft = _drafted(asked, identifier)
    COMMITTER.hand(draft, lambda found: then(draft, _judged(draft, found)), size=len(draft.input), timeout=timeout)


def background() -> list[Background]:
    """What tells those whose commit takes too long."""
    return [Ticker("late commits", LATE_S, COMMITTER.give_up_late)]


def _drafted(asked: Asked, identifier: UUID) -> Draft:
    with TURN:
        return _admitted(asked, choose(asked.principal, asked.wish), identifier)


def _judged(draft: Draft, found: Accepted | BaseException) -> Accepted | Exception:
    """What became of a draft; else the error to be told."""
    if isinstance(found, TimeoutError):
        return _unknown(draft.id)
    if isinstance(found, DatabaseError):
        unavailable = errors.Unavailable(f"the ledger cannot be written now: {found}", retry_after=1)
        unavailable.__cause__ = found
        return unavailable
    return found if isinstance(found, Accepted | Exception) else RuntimeError(f"the commit was broken off: {found!r}")


def choose(principal: Principal, wish: Wish) -> Route:
    """The version that answers. What is not the project's own does not exist."""
    if wish.version_id is None:
        return snapshot.find(principal, wish.model or "", wish.version)
    version = snapshot.current().versions.get(wish.version_id)
    if version is None or version.project_id != principal.project_id:
        raise errors.NotFound(f"version {wish.version_id} not found", field="version")
    snapshot.entry(principal, version.model)  # the key's list of models holds here too
    return Route(version, f"version {version.number}")


def _admitted(asked: Asked, route: Route, identifier: UUID) -> Draft:
    limits = settings.SERVING
    request = instances.decode(asked.wish.input, route.version.signature, row_limit=limits["ROW_LIMIT"])
    deadline_s = asked.manner.deadline_s or limits["PREDICTION_DEADLINE_S"]
    GATE.admit(asked.principal, route.version, deadline_s=deadline_s)
    return _draft(asked, route, identifier, rows=request.rows, deadline_s=deadline_s)


def _draft(asked: Asked, route: Route, identifier: UUID, *, rows: int, deadline_s: float) -> Draft:
    version = route.version
    return Draft(
        id=identifier,
        project_id=asked.principal.project_id,
        project=asked.principal.project,
        key=asked.principal.key[:12],
        request_id=asked.request_id,
        traceparent=context.traceparent(),
        model=version.model,
        version=version.number,
        version_id=version.id,
        digest=version.digest,
        route=route.reason,
        pool=version.pool,
        priority=asked.wish.priority,
        rows=rows,
        input=asked.input,
        deadline_s=deadline_s,
        idempotency_key=asked.manner.idempotency_key,
        body_hash=_body_hash(asked),
        # What is about a person is not kept where it could not be found again to be erased.
        cache=CacheWish.NO_STORE if asked.subject else asked.manner.cache,
        subject=asked.subject,
    )


def _body_hash(asked: Asked) -> str:
    return hashlib.sha256(asked.body).hexdigest() if asked.manner.idempotency_key is not None else ""


def _nudge(draft: Draft) -> nudges.Nudge:
    return nudges.Nudge(draft.id, draft.version_id, draft.pool, draft.priority, draft.rows, len(draft.input))


def _standing(asked: Asked) -> Accepted | None:
    earlier = ledger.standing(asked.principal.project_id, asked.manner.idempotency_key, _body_hash(asked))
    if isinstance(earlier, Exception):
        raise earlier
    return earlier


def _accept(drafts: list[Draft]) -> Sequence[Accepted | BaseException]:
    with fresh_connection():
        return _nudged(drafts, ledger.accept(drafts))


def _nudged(drafts: list[Draft], outcomes: list[Accepted | Exception]) -> list[Accepted | Exception]:
    """Outcomes of a commit, after what it accepted was counted and its nudges were sent on their way: before anybody is
    told, and together, so that whoever gave up has a nudge too."""
    added = [
        draft
        for draft, found in zip(drafts, outcomes, strict=True)
        if isinstance(found, Accepted) and not found.replayed
    ]
    for draft in added:
        GATE.count(draft.project_id, draft.model)
    nudges.PUBLISHER.hint(map(_nudge, added))
    return outcomes


def _accept_bounded(drafts: list[Draft]) -> Sequence[Accepted | BaseException]:
    """In the committer's own thread: a server that is silent for `SILENT_S` loses its connection.

    Once a statement may have reached it, a lost connection says nothing about the commit.
    """
    with fresh_connection(), patience.at_most(SILENT_S):
        connections["default"].ensure_connection()
        for attempt in range(1, TRIES + 1):
            try:
                return _nudged(drafts, ledger.accept(drafts))
            except (OperationalError, InterfaceError) as error:
                state = getattr(error.__cause__, "sqlstate", None)
                if state in _AGAIN and attempt < TRIES:
                    continue
                if state is None or state.startswith(_SHUT_DOWN):
                    return [_unknown(draft.id) for draft in drafts]
                raise
    raise AssertionError("unreachable")


def _unknown(identifier: UUID) -> errors.OutcomeUnknown:
    return errors.OutcomeUnknown(
        f"the commit was not confirmed in time; prediction {identifier} may have been accepted", retry_after=1
    )


def committer() -> ThreadedCoalescer[Draft, Accepted]:
    """A thread commits: nobody has to wait for it, and a frozen PostgreSQL holds up no caller."""
    accept = _accept_bounded if connections["default"].vendor == "postgresql" else _accept
    return ThreadedCoalescer(accept, max_items=GROUP_ITEMS, max_bytes=GROUP_BYTES, name="committer", waits=SHIFTS.wait)


COMMITTER = committer()
