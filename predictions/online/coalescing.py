"""Calls of one version that arrive while one of them runs go into the model together, where a batch pays.

Whether it pays is what publishing measured: a row of a batch of eight must cost at most half of a row alone, and less
by more than gathering costs. Each caller gets the rows it asked for; a batch that fails is halved until the bad caller
fails alone, and what a whole batch died of (time, memory, its process) each of its callers tries alone.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from weakref import WeakKeyDictionary

import msgspec

from models_registry import errors
from models_registry.per_version import PerVersion
from models_registry.routing import Version
from models_registry.runtime.bisection import Outcome, predict_each
from models_registry.runtime.coalescer import Coalescer
from models_registry.runtime.predictor import Predictor
from models_registry.runtime.signature import Tensors
from predictions.online import counting
from predictions.shifts import SHIFTS

#: Seconds that gathering costs a call: two hand-overs between threads. Rows that are cheaper than that run at once.
GATHERING_S = 50e-6

#: Requests of more rows run by themselves: they are batches already.
MOST_ROWS_EACH = 16
#: What one run takes at most: callers, and bytes of their inputs.
MOST_CALLERS, MOST_BYTES = 64, 4 * 2**20


class Turn(msgspec.Struct):
    """One caller's rows, and when its run began and ended; times are of the performance counter, in seconds.

    `has_own_limit`: it must end before the version's own limit, so it runs alone and ends nobody else's run.
    """

    version: Version
    predictor: Predictor
    inputs: Tensors
    rows: int
    until: float
    has_own_limit: bool = False
    asked: float = msgspec.field(default_factory=time.perf_counter)
    begun: float = 0.0
    ended: float = 0.0
    shared: bool = False

    @property
    def queue_s(self) -> float:
        """Until its run began; all of the time so far while it has not begun."""
        return (self.begun or time.perf_counter()) - self.asked

    @property
    def inference_s(self) -> float:
        return self.ended - self.begun if self.ended else 0.0


def predict(turn: Turn) -> Tensors:
    """The outputs for one caller's rows; raises what `Predictor.predict` raises."""
    if turn.rows <= MOST_ROWS_EACH and not turn.has_own_limit and _pays(turn.version):
        outputs = _together(turn)
        if outputs is not None:
            return outputs
    return _alone(turn)


def pays(row_cost_s: tuple[float, float, float]) -> bool:
    """Whether waiting for others is worth it; `row_cost_s` as publishing measured it: seconds of a call with 1, 8 and
    64 rows. Never where nothing was measured."""
    alone, of_eight = row_cost_s[0], row_cost_s[1] / 8
    return 0 < of_eight <= alone / 2 and alone - of_eight > GATHERING_S


_pays = PerVersion(lambda version: pays(version.row_cost_s)).of


def waiting(predictor: Predictor) -> int:
    """How many callers wait for the run of this predictor that is on."""
    return _coalescer(predictor).waiting()


def _alone(turn: Turn) -> Tensors:
    turn.begun = time.perf_counter()
    if turn.begun >= turn.until:
        raise errors.PredictionTimeout("the request's own limit has passed")
    try:
        return turn.predictor.predict(turn.inputs, timeout=turn.until - turn.begun)
    finally:
        turn.ended = time.perf_counter()
        counting.ran(turn.version, turn.rows, turn.ended - turn.begun)


def _together(turn: Turn) -> Tensors | None:
    """The outputs; None when a run for several failed as a whole and this caller is to try alone."""
    size = sum(array.nbytes for array in turn.inputs.values())
    try:
        return _coalescer(turn.predictor).submit(turn, size, turn.until - turn.asked)
    except TimeoutError:
        raise errors.PredictionTimeout("the request's own limit passed before the model answered") from None
    except Exception:
        if not turn.shared:
            raise
        return None


def _run(turns: list[Turn]) -> Sequence[Outcome]:
    """One run for all of them, within what its first caller, who waited longest, has left."""
    first, begun = turns[0], time.perf_counter()
    for turn in turns:
        turn.begun = begun
    timeout = min(first.version.hard_limit_s, first.until - begun)
    if timeout <= 0:
        return _marked(turns, [errors.PredictionTimeout("the request's own limit has passed")] * len(turns))
    outcomes = predict_each(first.predictor, [turn.inputs for turn in turns], timeout=timeout)
    ended = time.perf_counter()
    for turn in turns:
        turn.ended = ended
    counting.ran(first.version, sum(turn.rows for turn in turns), ended - begun)
    return _marked(turns, outcomes)


def _marked(turns: list[Turn], outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
    """Tell callers whose error is not theirs alone: one object for several was met by their run as a whole, while
    halving gives each caller an error of its own."""
    met = Counter(id(outcome) for outcome in outcomes if isinstance(outcome, BaseException))
    for turn, outcome in zip(turns, outcomes, strict=True):
        turn.shared = met[id(outcome)] > 1
    return outcomes


#: By loaded version, and gone with it.
_coalescers: WeakKeyDictionary[Predictor, Coalescer[Turn, Tensors]] = WeakKeyDictionary()


def _coalescer(predictor: Predictor) -> Coalescer[Turn, Tensors]:
    found = _coalescers.get(predictor)
    if found is None:
        made = Coalescer(_run, max_items=MOST_CALLERS, max_bytes=MOST_BYTES, name="inference", waits=SHIFTS.wait)
        found = _coalescers.setdefault(predictor, made)
    return found
