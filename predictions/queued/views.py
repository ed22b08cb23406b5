"""The queued door: predictions and models in Replicate's shape under `/v1`."""

from __future__ import annotations

import logging
import time
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import orjson
from django.conf import settings
from django.db import DatabaseError
from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.views import APIView

from models_registry import errors, snapshot
from models_registry.models import RegisteredModel
from models_registry.principals import Principal
from monitoring import metrics, patience
from monitoring.ids import mint
from predictions import places
from predictions.protocols import replicate, replicate_models
from predictions.protocols.replicate import Queue, Sight, Wish
from predictions.queued import aftermath, ledger, listing, reading, results, submission
from predictions.queued.admission import GATE
from predictions.queued.bodies import AnyAnswer, body_of, request_id_of
from predictions.queued.ledger import Accepted, Draft
from predictions.queued.waiting import WAITERS, Waiter

logger = logging.getLogger(__name__)

#: What is kept of the request's time for reading the answer and writing it out, seconds.
ANSWER_S = 0.1


class QueuedView(APIView):
    """What all of `/v1` has in common: JSON whatever a client says it accepts, bodies read raw."""

    content_negotiation_class = AnyAnswer

    def handle_exception(self, exc: Exception) -> Any:
        if isinstance(exc, DatabaseError):
            logger.warning("the database did not answer", exc_info=exc, extra={"action": "database_down"})
            exc = errors.Unavailable("the ledger cannot be read now", retry_after=1)
        if isinstance(exc, errors.DomainError):
            metrics.count(metrics.REFUSALS, ("replicate", exc.code))
        return super().handle_exception(exc)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        identifier = request_id_of(request)
        if identifier:
            response["X-Request-ID"] = identifier
        return response


class PredictionsView(QueuedView):
    """Accept a prediction; list those of the project."""

    scopes = {"GET": "read", "POST": "predict"}

    def get(self, request: Request) -> HttpResponse:
        principal = snapshot.principal_of(request)
        page = reading.page(listing.filter_of(principal, request.query_params))
        sights = [results.sight_of(row) for row in page.rows]
        body = replicate.show_page(
            sights, base=_base(request), following=_cursor(request, "o", page.older),
            previous=_cursor(request, "n", page.newer),
        )  # fmt: skip
        return _json(body)

    def post(self, request: Request) -> HttpResponse:
        body = body_of(request, settings.SERVING["QUEUED_BODY_LIMIT"])
        with places.of_large_body(len(body)):
            wish = replicate.parse(body)
        return _accept(request, wish, body)


class ModelPredictionsView(QueuedView):
    """Accept a prediction of the model that the path names."""

    scopes = {"POST": "predict"}

    def post(self, request: Request, owner: str, name: str) -> HttpResponse:
        body = body_of(request, settings.SERVING["QUEUED_BODY_LIMIT"])
        named = f"{owner}/{name}"
        with places.of_large_body(len(body)):
            wish = replicate.parse(body, model=named)
        return _accept(request, wish, named.encode() + b"\n" + body)


class PredictionView(QueuedView):
    """One prediction of the project."""

    scopes = {"GET": "read"}

    def get(self, request: Request, identifier: UUID) -> HttpResponse:
        sight = _find(snapshot.principal_of(request), identifier)
        queue = None
        if sight.status == "starting":
            queue = _queue(sight, reading.position(sight.id, pool=sight.pool, priority=sight.priority))
        return _json(replicate.show(sight, base=_base(request), queue=queue))


class CancelView(QueuedView):
    """End a prediction that has not ended; one that has is shown as it is."""

    scopes = {"POST": "predict"}

    def post(self, request: Request, identifier: UUID) -> HttpResponse:
        principal = snapshot.principal_of(request)
        sight = _find(principal, identifier)
        if not sight.ended and ledger.cancel(principal.project_id, identifier):
            aftermath.tell([identifier])
        return _json(replicate.show(_find(principal, identifier), base=_base(request)))


class ModelView(QueuedView):
    """One model of the project."""

    scopes = {"GET": "read"}

    def get(self, request: Request, owner: str, name: str) -> HttpResponse:
        principal = snapshot.principal_of(request)
        entry = snapshot.entry(principal, f"{owner}/{name}")
        row = RegisteredModel.objects.filter(project_id=principal.project_id, name=name).first()
        description = row.description if row is not None else ""
        return _json(orjson.dumps(replicate_models.show_model(entry, base=_base(request), description=description)))


class VersionsView(QueuedView):
    """The ready versions of a model, newest first."""

    scopes = {"GET": "read"}

    def get(self, request: Request, owner: str, name: str) -> HttpResponse:
        entry = snapshot.entry(snapshot.principal_of(request), f"{owner}/{name}")
        shown = [replicate_models.show_version(entry.versions[number]) for number in sorted(entry.versions)[::-1]]
        return _json(orjson.dumps({"previous": None, "next": None, "results": shown}))


class VersionView(QueuedView):
    """One ready version of a model, by its id."""

    scopes = {"GET": "read"}

    def get(self, request: Request, owner: str, name: str, identifier: UUID) -> HttpResponse:
        entry = snapshot.entry(snapshot.principal_of(request), f"{owner}/{name}")
        for version in entry.versions.values():
            if version.id == identifier:
                return _json(orjson.dumps(replicate_models.show_version(version)))
        raise errors.NotFound(f"Model {name} with version {identifier} not found")


def _accept(request: Request, wish: Wish, body: bytes) -> HttpResponse:
    began = time.monotonic()
    limit_s = settings.SERVING["REQUEST_LIMIT_S"]
    manner = replicate.manner(request.headers, default_wait_s=limit_s)
    principal = snapshot.principal_of(request)
    asked = submission.Asked(
        principal=principal,
        wish=wish,
        manner=manner,
        input=orjson.dumps(wish.input),
        body=body,
        request_id=request_id_of(request),
    )
    identifier = mint()
    if manner.wait_s is None:
        accepted, draft = submission.submit(asked, identifier=identifier, timeout=limit_s)
        return _accepted(request, asked, accepted, draft)
    until = began + manner.wait_s - ANSWER_S
    with WAITERS.place(identifier) as waiter:
        accepted, draft = submission.submit(asked, identifier=identifier, timeout=max(0.0, until - time.monotonic()))
        if waiter is None or not _wait(waiter, accepted, principal, until):
            return _accepted(request, asked, accepted, draft)
    return _shown(request, _find(principal, accepted.id), accepted)


def _wait(waiter: Waiter, accepted: Accepted, principal: Principal, until: float) -> bool:
    """True when the prediction has ended in time."""
    if accepted.replayed:
        WAITERS.move(waiter, accepted.id)
        if _find(principal, accepted.id).ended:
            return True
    return waiter.wait(until - time.monotonic())


def _accepted(request: Request, asked: submission.Asked, accepted: Accepted, draft: Draft | None) -> HttpResponse:
    """The answer while the prediction is unfinished, or at once."""
    manner = asked.manner
    try:
        if draft is None or accepted.replayed or manner.wait_s is not None:
            with patience.at_most(ANSWER_S):
                sight = _find(asked.principal, accepted.id)
        else:
            sight = _sight_of_draft(draft, accepted)
    except DatabaseError:
        # It was committed, which is what the answer says; only how far it has come is not known.
        if draft is None or accepted.replayed:
            raise
        sight = _sight_of_draft(draft, accepted)
    return _shown(request, sight, accepted, status=202 if manner.at_once else 201, waited=manner.wait_s is not None)


def _shown(
    request: Request, sight: Sight, accepted: Accepted, *, status: int = 201, waited: bool = False
) -> HttpResponse:
    queue = _queue(sight, max(1, GATE.open())) if sight.status == "starting" else None
    response = _json(replicate.show(sight, base=_base(request), queue=queue, as_waiting=waited), status=status)
    response["X-Prediction-ID"] = str(sight.id)
    if accepted.replayed:
        response["Idempotency-Replayed"] = "true"
    return response


def _queue(sight: Sight, place: int) -> Queue:
    version = snapshot.current().versions.get(sight.version_id)
    return Queue(place, GATE.eta_s(place, version.row_cost_s[0] if version is not None else 0.0))


def _find(principal: Principal, identifier: UUID) -> Sight:
    sight = results.find(principal.project_id, principal.project, identifier)
    if principal.models is not None and sight.model not in principal.models:
        raise errors.NotFound(f"Prediction {identifier} not found")
    return sight


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


def _cursor(request: Request, direction: str, identifier: UUID | None) -> str | None:
    if identifier is None:
        return None
    asked = {name: value for name, value in request.query_params.items() if name != "cursor"}
    return f"{_base(request)}/v1/predictions?" + urlencode({**asked, "cursor": direction + identifier.hex})


def _base(request: Request) -> str:
    """Scheme, host and mount point, without a trailing slash."""
    mount = str(request.META.get("SCRIPT_NAME", "")).rstrip("/")
    return str(request.build_absolute_uri("/"))[:-1] + mount


def _json(body: bytes, *, status: int = 200) -> HttpResponse:
    return HttpResponse(body, status=status, content_type="application/json")
