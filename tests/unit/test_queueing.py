"""The model of many workers agrees with what is known of queues, and gives way where its ledger does."""

from __future__ import annotations

import math

import numpy
import pytest

from tests.bench.queueing import Ledger, simulate

FREE = Ledger(cost_s=0.0)


def exponential(mean_s: float) -> list[float]:
    """The quantiles of an exponential time: drawn from, they are as good as the distribution."""
    shares = (numpy.arange(20_000) + 0.5) / 20_000
    return list(-mean_s * numpy.log1p(-shares))


def erlang_c(servers: int, load: float) -> float:
    """Share of customers of an M/M/c queue that wait (A. K. Erlang, 1917); `load` is rate × mean service."""
    last = load**servers / math.factorial(servers) * servers / (servers - load)
    return last / (sum(load**number / math.factorial(number) for number in range(servers)) + last)


@pytest.mark.parametrize(("servers", "busy"), [(1, 0.7), (2, 0.7), (4, 0.8), (16, 0.85)])
def test_the_mean_wait_is_that_of_erlang(servers: int, busy: float) -> None:
    mean, load = 0.05, servers * busy
    found = simulate(
        workers=servers, service_s=exponential(mean), ledger=FREE, count=300_000, rate=load / mean, seed=servers
    )
    assert found.wait_mean_s == pytest.approx(erlang_c(servers, load) * mean / (servers - load), rel=0.08)
    assert found.workers_busy == pytest.approx(busy, rel=0.02)


def test_times_without_spread_make_half_the_wait_of_exponential_ones() -> None:
    # Pollaczek and Khinchine: the mean wait of M/G/1 is proportional to 1 + the squared coefficient of variation.
    found = simulate(workers=1, service_s=[0.05], ledger=FREE, count=300_000, rate=14)
    assert found.wait_mean_s == pytest.approx(0.05 * 0.7 / (1 - 0.7) / 2, rel=0.05)


@pytest.mark.parametrize("workers", [1, 2, 4, 100])
def test_with_a_free_ledger_throughput_grows_with_the_workers(workers: int) -> None:
    found = simulate(workers=workers, service_s=[0.04, 0.06], ledger=FREE, count=20_000)
    assert found.per_s == pytest.approx(workers / 0.05, rel=0.02)
    assert found.workers_busy == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize(("cores", "most"), [(1, 1000), (4, 4000)])
def test_throughput_ends_at_what_the_ledger_carries(cores: int, most: int) -> None:
    found = simulate(workers=1000, service_s=[0.05], ledger=Ledger(0.001, cores), count=60_000)
    assert found.per_s == pytest.approx(most, rel=0.02)
    assert found.ledger_busy == pytest.approx(1, rel=0.02)
    assert found.workers_busy == pytest.approx(most * 0.05 / 1000, rel=0.02)


def test_a_worker_is_held_while_it_asks_the_ledger() -> None:
    # One worker alone does one per service and cost; the bound of its own is met before the ledger's.
    assert simulate(workers=1, service_s=[0.04], ledger=Ledger(0.01), count=5_000).per_s == pytest.approx(20, rel=0.01)


def test_the_same_seed_gives_the_same_run_and_too_few_predictions_are_refused() -> None:
    times = exponential(0.05)
    one, other = (simulate(workers=3, service_s=times, ledger=FREE, count=5_000, rate=40, seed=7) for _ in range(2))
    assert one == other
    with pytest.raises(ValueError, match="too few"):
        simulate(workers=1000, service_s=[0.05], ledger=FREE, count=100)
