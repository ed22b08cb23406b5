"""Searches and exports over many records, in a process of its own: see `tests.bench.records`."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from tests.bench import records
from tests.bench.plan import Plan

FEW = records.Sizes(elasticsearch=20_000, sqlite=20_000, times=10)


def run(plan: Plan) -> dict[str, Any]:
    """A row per store; a quick run has few records."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(records.measured, records.Sizes() if plan.peers else FEW).result()
