"""After the queue: claim → load → decode → predict as one batch → settle → wake.

Whatever a model does, its batch ends: an item that raises fails alone; when a batch's process dies or runs out of
time its rows go back to run by themselves, and one that dies or times out by itself ends failed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

import orjson
from django.conf import settings
from django.db import OperationalError

from models_registry import errors, reading, snapshot
from models_registry.response_cache import Outcome
from models_registry.routing import Version
from models_registry.runtime import bisection
from models_registry.runtime.predictor import Predictor
from models_registry.runtime.signature import Tensors
from monitoring import metrics
from predictions import telling
from predictions.models import Prediction
from predictions.protocols import instances
from predictions.queued import aftermath, answers, ledger, nudges
from predictions.queued.answers import Asked
from predictions.queued.leases import LEASES
from predictions.queued.ledger import Claimed, Settled

logger = logging.getLogger(__name__)

#: Seconds a version may take to be loaded here before its rows wait for another try.
LOAD_WAIT_S = 10.0
#: Seconds until rows are looked at again whose version could not be loaded; the first of several pauses.
POSTPONED_S = 2.0
#: Seconds beyond the hard limit that a claim is renewed for: to kill the child, to encode and to settle.
MARGIN_S = 10.0
#: What a batch's end says nothing about its single rows.
_UNCLEAR = (errors.ProcessCrashed, errors.ResourceExhausted, errors.PredictionTimeout)


def run(ids: Sequence[UUID]) -> None:
    """Claim and run these rows; returns when none of them is this process's any more."""
    limits = settings.SERVING
    claimed = ledger.claim(ids, lease_s=limits["LEASE_S"], max_attempts=limits["MAX_ATTEMPTS"])
    by_version: dict[UUID, list[Claimed]] = {}
    for row in claimed:
        by_version.setdefault(row.version_id, []).append(row)
    for rows in by_version.values():
        _run_version(rows)


def _run_version(rows: list[Claimed]) -> None:
    fence, ids = rows[0].fence, [row.id for row in rows]
    version = snapshot.current().versions.get(rows[0].version_id) or reading.pinned(rows[0].version_id)
    if version is None:
        _put_off(rows, f"version {rows[0].version} of {rows[0].model} is not in the registry any more")
        return
    began = time.time()
    with LEASES.held(fence, ids, seconds=LOAD_WAIT_S + version.hard_limit_s + MARGIN_S):
        try:
            predictor = snapshot.predictor(version, wait=LOAD_WAIT_S)
        except errors.ModelUnavailable as error:
            _put_off(rows, error.message)
            return
        except errors.Unavailable:
            ledger.release(fence, ids, delay_s=POSTPONED_S)
            return
        asked, endings = _decode(rows, version)
        plan = answers.plan(version, asked)
        ran = _Ran(predictor, version, waiting=dict(plan.waiting), endings=[*endings, *plan.hits])
        # Who waited for an equal input's run that failed is run too: the input is equal, its luck need not be.
        _run_batch(_run_batch(plan.runs, ran), ran)
        _settle(rows, ran.endings)
        answers.keep(version, ran.outputs)
        ledger.release(fence, [row.id for row in ran.later], delay_s=ran.pause_s)
        _run_alone_next(fence, ran.unclear, version)
        telling.ran(version, rows, ran.endings, began=began)


@dataclass(slots=True)
class _Ran:
    """What becomes of a batch's rows: some end, some are run again alone, some wait until the version can be asked."""

    predictor: Predictor
    version: Version
    waiting: dict[str, Sequence[Asked]]
    endings: list[Settled]
    unclear: list[Claimed] = field(default_factory=list)
    later: list[Claimed] = field(default_factory=list)
    pause_s: float = POSTPONED_S
    outputs: dict[str, bytes] = field(default_factory=dict)


def _run_batch(asked: Sequence[Asked], ran: _Ran) -> list[Asked]:
    """Run these as one batch; returns the rows that waited for one of them in vain."""
    version = ran.version
    if not asked:
        return []
    metrics.observe(metrics.BATCH_ROWS, (version.project, version.model, str(version.number)), _rows(asked))
    began = time.monotonic()
    outcomes = _predict(ran.predictor, [one.inputs for one in asked], version.hard_limit_s)
    share_ms = (time.monotonic() - began) * 1000
    in_vain: list[Asked] = []
    for one, outcome in zip(asked, outcomes, strict=True):
        same = ran.waiting.pop(one.key, ())
        if isinstance(outcome, errors.Unavailable):
            ran.later += [one.row, *(other.row for other in same)]
            ran.pause_s = max(ran.pause_s, outcome.retry_after or 0)
            continue
        if isinstance(outcome, _UNCLEAR):
            ran.unclear += [other.row for other in same]
            if len(asked) > 1:
                ran.unclear.append(one.row)
                continue
            same = ()
        ending = _ending(one.row, outcome, version, share_ms)
        ran.endings.append(replace(ending, cache=answers.outcome_of(version, one)))
        if ending.output is None:
            in_vain += same
            continue
        ran.outputs[one.key] = ending.output
        ran.endings += [Settled(other.row.id, output=ending.output, cache=Outcome.COLLAPSED) for other in same]
    return in_vain


def _put_off(rows: list[Claimed], reason: str) -> None:
    """The version cannot be loaded: its rows wait for another try, twice as long each time, and fail after the last."""
    fence, last = rows[0].fence, settings.SERVING["MAX_ATTEMPTS"] - 1
    for attempts in sorted({row.attempts for row in rows if row.attempts < last}):
        ids = [row.id for row in rows if row.attempts == attempts]
        ledger.release(fence, ids, delay_s=POSTPONED_S * 2**attempts, in_vain=True)
    failed = [row.id for row in rows if row.attempts >= last]
    _settle(rows, [Settled(row, error_code=errors.ModelUnavailable.code, error=reason) for row in failed])


def _rows(asked: Sequence[Asked]) -> int:
    return sum(one.row.rows for one in asked)


def _decode(rows: Iterable[Claimed], version: Version) -> tuple[list[Asked], list[Settled]]:
    """Inputs were valid when they were accepted; a row that no longer is fails alone."""
    asked: list[Asked] = []
    failed: list[Settled] = []
    for row in rows:
        try:
            request = instances.decode(
                orjson.loads(row.input), version.signature, row_limit=settings.SERVING["ROW_LIMIT"]
            )
            asked.append(Asked(row, request.inputs))
        except errors.DomainError as error:
            failed.append(Settled(row.id, error_code=error.code, error=error.message))
    return asked, failed


def _predict(predictor: Predictor, requests: list[Tensors], timeout: float) -> list[bisection.Outcome]:
    """Never raises, whatever model code does: SystemExit and MemoryError must not end the worker's thread."""
    try:
        return bisection.predict_each(predictor, requests, timeout=timeout)
    except MemoryError:
        return [errors.ResourceExhausted("out of memory")] * len(requests)
    except BaseException as error:
        return [errors.ProcessCrashed(f"{type(error).__name__}: {error}")] * len(requests)


def _ending(row: Claimed, outcome: bisection.Outcome, version: Version, inference_ms: float) -> Settled:
    try:
        if isinstance(outcome, errors.DomainError):
            raise outcome
        output = orjson.dumps(instances.encode(outcome, version.signature), option=orjson.OPT_SERIALIZE_NUMPY)
        if len(output) > settings.SERVING["OUTPUT_LIMIT"]:
            raise errors.UnusableOutput(f"the output has {len(output)} bytes, more than is kept")
        return Settled(row.id, output=output, inference_ms=inference_ms)
    except errors.DomainError as error:
        return Settled(row.id, error_code=error.code, error=error.message, inference_ms=inference_ms)
    except (TypeError, ValueError, RecursionError, MemoryError) as error:
        message = f"the output cannot be encoded: {type(error).__name__}: {error}"
        return Settled(row.id, error_code=errors.UnusableOutput.code, error=message, inference_ms=inference_ms)


def _settle(rows: Sequence[Claimed], endings: list[Settled]) -> None:
    """End rows of one claim, then tell: hot results and wake-ups are hurries, the row has the answer already."""
    for attempt in range(3):
        try:
            ended = ledger.settle(rows[0].fence, endings)
            break
        except OperationalError:
            if attempt == 2:
                raise
            time.sleep(0.1 * (attempt + 1))
    if len(ended) < len(endings):
        lost = len(endings) - len(ended)
        logger.info("%s late answers were refused", lost, extra={"action": "late_settle"})
    if ended:
        aftermath.tell_settled(rows, endings, ended)


def _run_alone_next(fence: UUID, rows: list[Claimed], version: Version) -> None:
    released = set(ledger.release(fence, [row.id for row in rows], alone=True))
    again = [row for row in rows if row.id in released]
    queues = dict(Prediction.objects.filter(id__in=released).values_list("id", "priority")) if again else {}
    nudges.PUBLISHER.hint(
        nudges.Nudge(
            id=row.id,
            version_id=row.version_id,
            pool=version.pool,
            priority=queues.get(row.id, "standard"),
            rows=row.rows,
            size=len(row.input),
            alone=True,
        )
        for row in again
    )
