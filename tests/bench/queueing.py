"""A model of the services mode on paper: workers that take predictions first come first served and share one ledger.

Assumptions. Each worker process runs one model, and that one a prediction at a time, for a time drawn from those that
were measured on an idle system. Before that each prediction takes its whole cost of the ledger at once (accepting,
claiming, settling, recording) from one PostgreSQL primary: `cores` of it that each do one at a time. Web processes,
keepers, RabbitMQ, Redis and Elasticsearch grow along and never make anybody wait, the network is free, nothing fails.
A worker is held while it waits for the ledger, as ours is while it claims.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy

#: The part of a run that the system takes to fill, left out of its figures.
WARM_UP = 0.2


@dataclass(frozen=True)
class Ledger:
    """What one prediction costs it, in seconds of one core, and its cores."""

    cost_s: float
    cores: int = 1

    @property
    def most_per_s(self) -> float:
        return self.cores / self.cost_s if self.cost_s else float("inf")


@dataclass(frozen=True)
class Run:
    """Ended predictions per second, the waiting of one for a worker and the ledger (seconds), and how busy each side
    was: shares of 0 to 1 of what all workers' models, and all cores of the ledger, could have done."""

    per_s: float
    wait_mean_s: float
    wait_p99_s: float
    workers_busy: float
    ledger_busy: float


def simulate(
    *, workers: int, service_s: Sequence[float], ledger: Ledger, count: int, rate: float | None = None, seed: int = 0
) -> Run:
    """`count` predictions through the model. They come at `rate` per second, independently of each other (Poisson), or
    all lie in the queue from the start (None).

    Both stations serve in order of arrival, so that a heap of the times at which their servers become free is the whole
    state: a worker's begin is the later of arrival and the earliest of these, and begins never go back in time.
    """
    random = numpy.random.default_rng(seed)
    arrivals = numpy.zeros(count) if rate is None else numpy.cumsum(random.exponential(1 / rate, count))
    serving = random.choice(numpy.asarray(service_s, float), count)
    free, cores = [0.0] * workers, [0.0] * ledger.cores
    begins, ends = numpy.empty(count), numpy.empty(count)
    for at, (arrival, service) in enumerate(zip(arrivals.tolist(), serving.tolist(), strict=True)):
        begins[at] = begin = max(arrival, free[0])
        told = max(begin, cores[0]) + ledger.cost_s
        heapq.heapreplace(cores, told)
        ends[at] = told + service
        heapq.heapreplace(free, told + service)
    return _figures(arrivals, begins, ends, serving, workers, ledger)


def _figures(
    arrivals: numpy.ndarray,
    begins: numpy.ndarray,
    ends: numpy.ndarray,
    serving: numpy.ndarray,
    workers: int,
    ledger: Ledger,
) -> Run:
    """Over what ended between the first fifth of the ends and the last begin, after which workers run dry."""
    order = numpy.sort(ends)
    start, stop = order[int(len(order) * WARM_UP)], begins.max()
    if stop <= start:
        raise ValueError("too few predictions to fill so many workers")
    per_s = float(numpy.count_nonzero((ends > start) & (ends <= stop)) / (stop - start))
    waits = (ends - serving - ledger.cost_s - arrivals)[int(len(ends) * WARM_UP) :]
    return Run(
        per_s=per_s,
        wait_mean_s=float(waits.mean()),
        wait_p99_s=float(numpy.quantile(waits, 0.99)),
        workers_busy=min(1.0, per_s * float(serving.mean()) / workers),
        ledger_busy=min(1.0, per_s / ledger.most_per_s),
    )


def count_for(workers: int) -> int:
    """Enough for steady figures of so many."""
    return max(20_000, 60 * workers)
