"""What the online path counts: ended predictions by version, refused requests by code. Never in a prediction's way.

Answered calls and runs of a model are noted, and added up when somebody reads or many wait (`monitoring.tally`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from models_registry.response_cache import Outcome
from models_registry.routing import Route, Version
from monitoring import metrics
from monitoring.tally import Tally
from predictions.online import statistics
from predictions.online.recording import PROTOCOL, Call
from predictions.online.statistics import Took

#: Sizes of batches that are remembered for a version; what comes beyond is counted under no size.
MOST_SIZES = 256


class _Answered(msgspec.Struct, gc=False):
    """One answered call. Times are seconds, `at` is seconds since the epoch; `outcome` is its cache's."""

    version: Version
    total: float
    queue: float
    inference: float
    encode: float
    rows: int
    at: float
    outcome: Outcome | None


class _Run(msgspec.Struct, gc=False):
    """One run of a model, for one call or several."""

    version: Version
    rows: int
    seconds: float


def answered(call: Call) -> None:
    version, total, outcome = call.route.version, call.total_s, None
    if call.answered is not None:
        outcome = call.answered.outcome
        metrics.count(metrics.CACHE_REQUESTS, (version.project, version.model, str(version.number), outcome))
    at = call.accepted_at + total
    _answered.note(_Answered(version, total, call.queue_s, call.inference_s, call.encode_s, call.rows, at, outcome))


def ran(version: Version, rows: int, seconds: float) -> None:
    _runs.note(_Run(version, rows, seconds))


def failed(call: Call, code: str) -> None:
    found, total = statistics.of(call.route.version), call.total_s
    found.fail.add(total)
    metrics.observe_prediction(
        found.labels,
        protocol=PROTOCOL,
        status="failed",
        total_s=total,
        queue_s=call.queue_s,
        inference_s=call.inference_s,
        encode_s=call.encode_s,
        error_code=code,
    )


def refused(code: str, route: Route | None = None) -> None:
    """A request that got no record; a version's own refusals are also counted as its errors."""
    metrics.count(metrics.REFUSALS, (PROTOCOL, code))
    if route is not None:
        version = route.version
        metrics.count(metrics.ERRORS, (version.project, version.model, str(version.number), code))


def settle() -> None:
    """Add up all that was noted: before the numbers are read."""
    _answered.settle()
    _runs.settle()


def _add_answered(calls: Sequence[_Answered]) -> None:
    """As Triton counts: an answer for which the model was not run counts as a hit, and in none of a run's parts."""
    last = {id(call.version): call for call in calls}
    places = {version: place for place, version in enumerate(last)}
    which = np.array([places[id(call.version)] for call in calls])
    times = np.array([(call.total, call.queue, call.inference, call.encode) for call in calls])
    found = [statistics.of(call.version) for call in last.values()]
    metrics.observe_predictions([one.labels for one in found], which, times, protocol=PROTOCOL, status="succeeded")
    for call in calls:
        if call.outcome is not None:
            version = statistics.of(call.version)
            (version.hit if call.outcome in _HITS else version.miss).add(call.total)
    answered = np.column_stack((times[:, 0], [call.rows for call in calls]))
    for version, call, sums in zip(found, last.values(), _sums(which, answered, len(found)), strict=True):
        number, total, rows = sums
        version.success.add(total, int(number))
        version.rows += int(rows)
        version.last_at = max(version.last_at, call.at)
    ran = np.array([call.outcome not in _HITS for call in calls])
    for version, sums in zip(found, _sums(which[ran], times[ran], len(found)), strict=True):
        number, (total, queue, inference, encode) = int(sums[0]), sums[1:]
        version.queue.add(queue, number)
        version.infer.add(inference, number)
        version.encode.add(encode, number)
        version.decode.add(max(0.0, total - queue - inference - encode), number)


def _sums(which: np.ndarray[Any, Any], columns: np.ndarray[Any, Any], size: int) -> list[list[float]]:
    """For each of `size` places, how many calls are at it and the sum of each of their columns."""
    sums = [np.bincount(which, column, size) for column in columns.T]
    found: list[list[float]] = np.column_stack((np.bincount(which, minlength=size), *sums)).tolist()
    return found


_HITS = (Outcome.HIT, Outcome.COLLAPSED)


def _add_runs(runs: list[_Run]) -> None:
    by_size: dict[tuple[int, int], list[_Run]] = defaultdict(list)
    for run in runs:
        by_size[id(run.version), run.rows].append(run)
    for (_, rows), found in by_size.items():
        version, seconds = statistics.of(found[0].version), sum(run.seconds for run in found)
        version.runs.add(seconds, len(found))
        if rows in version.sizes or len(version.sizes) < MOST_SIZES:
            version.sizes.setdefault(rows, Took()).add(seconds, len(found))
        metrics.observe(metrics.BATCH_ROWS, version.labels, rows, len(found))


_answered: Tally[_Answered] = Tally(_add_answered)
_runs: Tally[_Run] = Tally(_add_runs)
metrics.settle_first(settle)
