"""What the queued door answers, the same through the lane and through the views: accept, wait, show.

authorise → body → route, pin, validate, admit → commit → answer now, or wait for the end
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, overload
from uuid import UUID

import orjson
from django.conf import settings
from django.db import DatabaseError

from models_registry import errors, snapshot
from models_registry.principals import Principal
from models_registry.response_cache import Outcome
from monitoring import metrics, patience
from monitoring.ids import mint
from predictions import places, protection
from predictions.protocols import cache_control, replicate
from predictions.protocols.replicate import Queue, Sight
from predictions.queued import aftermath, bodies, reading, results, submission
from predictions.queued.admission import GATE
from predictions.queued.ledger import Accepted, Draft
from predictions.queued.waiting import WAITERS, Waiter

logger = logging.getLogger(__name__)

#: What is kept of the request's time for reading the answer and writing it out, seconds.
ANSWER_S = 0.1
#: The headers that say how to answer, by their names in a WSGI environment.
_MANNERS = {
    "HTTP_PREFER": "Prefer",
    "HTTP_CANCEL_AFTER": "Cancel-After",
    "HTTP_IDEMPOTENCY_KEY": "Idempotency-Key",
    "HTTP_CACHE_CONTROL": "Cache-Control",
}
_JSON = ("Content-Type", "application/json")

Read = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers (without Content-Length) and JSON body."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


#: Told an answer, or what to answer for, from any thread.
Finish = Callable[[Answer | Exception], None]


@overload
def accept(principal: Principal, environ: Mapping[str, Any], read: Read, *, model: str | None = None) -> Answer: ...
@overload
def accept(
    principal: Principal,
    environ: Mapping[str, Any],
    read: Read,
    *,
    model: str | None = None,
    take: Callable[[], Finish] | None,
) -> Answer | None: ...
def accept(
    principal: Principal,
    environ: Mapping[str, Any],
    read: Read,
    *,
    model: str | None = None,
    take: Callable[[], Finish] | None = None,
) -> Answer | None:
    """Accept one prediction, of `model` when the path names it, and answer as the request's headers ask for.

    None when the answer is told later to what `take` returned, so that no thread waits for the commit.
    Raises a `DomainError`; `DatabaseError` where what was accepted before cannot be read.
    """
    began = time.monotonic()
    limit_s = settings.SERVING["REQUEST_LIMIT_S"]
    body = bodies.body_of(environ, read, settings.SERVING["QUEUED_BODY_LIMIT"])
    with places.of_large_body(len(body)), submission.TURN:
        wish = replicate.parse(body, model=model)
    said = {name: environ[key] for key, name in _MANNERS.items() if key in environ}
    manner = replicate.manner(said, default_wait_s=limit_s)
    asked = submission.Asked(
        principal=principal,
        wish=wish,
        manner=manner,
        input=orjson.dumps(wish.input),
        body=body if model is None else model.encode() + b"\n" + body,
        request_id=bodies.request_id_of(environ),
        subject=protection.subject_of(environ.get("HTTP_X_SUBJECT_ID", ""), principal),
    )
    base, identifier = bodies.base_of(environ), mint()
    # What a key stands for may have to be read, which waits.
    if take is not None and manner.wait_s is None and manner.idempotency_key is None:
        _hand(asked, take(), base, identifier, limit_s)
        return None
    if manner.wait_s is None:
        accepted, draft = submission.submit(asked, identifier=identifier, timeout=limit_s)
        return _accepted(asked, base, accepted, draft)
    until = began + manner.wait_s - ANSWER_S
    with WAITERS.place(identifier) as waiter:
        accepted, draft = submission.submit(asked, identifier=identifier, timeout=max(0.0, until - time.monotonic()))
        if waiter is None or not _wait(waiter, accepted, principal, until):
            return _accepted(asked, base, accepted, draft)
    return _shown(find(principal, accepted.id, waiter.entry), base, accepted)


def _hand(asked: submission.Asked, finish: Finish, base: str, identifier: UUID, timeout: float) -> None:
    """`finish` is told the answer or what went wrong, once, whatever happens."""

    def told(draft: Draft, accepted: Accepted | Exception) -> None:
        try:
            if isinstance(accepted, Exception):
                raise accepted
            answer: Answer | Exception = _shown(_sight_of_draft(draft, accepted), base, accepted, at_once=at_once)
        except Exception as error:
            answer = error
        finish(answer)

    at_once = asked.manner.at_once
    try:
        submission.hand(asked, told, identifier=identifier, timeout=timeout)
    except Exception as error:
        finish(error)


def show(principal: Principal, environ: Mapping[str, Any], identifier: UUID) -> Answer:
    """One prediction of the project as it stands. Raises `NotFound`."""
    sight = find(principal, identifier)
    queue = None
    if sight.status == "starting":
        queue = _queue(sight, reading.position(sight.id, pool=sight.pool, priority=sight.priority))
    body = replicate.show(sight, base=bodies.base_of(environ), queue=queue)
    return Answer(200, [_JSON, *_cache_status(sight)], body)


def find(principal: Principal, identifier: UUID, entry: Any = None) -> Sight:
    """A prediction of this project that the key may see; `entry` as its wake-up brought it. Raises `NotFound`."""
    sight = results.find(principal.project_id, principal.project, identifier, entry)
    if principal.models is not None and sight.model not in principal.models:
        raise errors.NotFound(f"Prediction {identifier} not found")
    return sight


def judged(error: Exception) -> Exception:
    """The error a client is told of, and counted: a database that is away is `Unavailable`."""
    if isinstance(error, DatabaseError):
        logger.warning("the database did not answer", exc_info=error, extra={"action": "database_down"})
        error = errors.Unavailable("the ledger cannot be read now", retry_after=1)
    if isinstance(error, errors.DomainError):
        metrics.count(metrics.REFUSALS, ("replicate", error.code))
    return error


def _wait(waiter: Waiter, accepted: Accepted, principal: Principal, until: float) -> bool:
    """True when the prediction has ended in time."""
    if accepted.replayed:
        WAITERS.move(waiter, accepted.id)
        if find(principal, accepted.id).ended:
            return True
    return waiter.wait(until - time.monotonic())


def _accepted(asked: submission.Asked, base: str, accepted: Accepted, draft: Draft | None) -> Answer:
    """The answer while the prediction is unfinished, or at once."""
    manner = asked.manner
    try:
        if draft is None or accepted.replayed or manner.wait_s is not None:
            with patience.at_most(ANSWER_S):
                sight = find(asked.principal, accepted.id)
        else:
            sight = _sight_of_draft(draft, accepted)
    except DatabaseError:
        # It was committed, which is what the answer says; only how far it has come is not known.
        if draft is None or accepted.replayed:
            raise
        sight = _sight_of_draft(draft, accepted)
    return _shown(sight, base, accepted, at_once=manner.at_once, waited=manner.wait_s is not None)


def _shown(sight: Sight, base: str, accepted: Accepted, *, at_once: bool = False, waited: bool = False) -> Answer:
    with submission.TURN:
        queue = _queue(sight, max(1, GATE.open())) if sight.status == "starting" else None
        headers = [_JSON, ("X-Prediction-ID", str(sight.id)), *_cache_status(sight)]
        if accepted.replayed:
            headers.append(("Idempotency-Replayed", "true"))
        return Answer(
            202 if at_once else 201, headers, replicate.show(sight, base=base, queue=queue, as_waiting=waited)
        )


def _cache_status(sight: Sight) -> list[tuple[str, str]]:
    """What the response cache did for a prediction that has ended."""
    is_told = sight.cache in aftermath.OUTCOMES
    return [("Cache-Status", cache_control.status(Outcome(sight.cache)))] if is_told else []


def _queue(sight: Sight, place: int) -> Queue:
    version = snapshot.current().versions.get(sight.version_id)
    return Queue(place, GATE.eta_s(place, version.row_cost_s[0] if version is not None else 0.0))


def _sight_of_draft(draft: Draft, accepted: Accepted) -> Sight:
    return Sight(
        id=draft.id,
        project=draft.project,
        model=draft.model,
        version=draft.version,
        version_id=draft.version_id,
        digest=draft.digest,
        pool=draft.pool,
        priority=draft.priority,
        status="starting",
        input=draft.input,
        output=None,
        error="",
        accepted_at=accepted.accepted_at,
        deadline_at=accepted.deadline_at,
        started_at=None,
        completed_at=None,
        inference_ms=0.0,
    )
