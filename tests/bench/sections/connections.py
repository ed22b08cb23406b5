"""The same work from 16 and from 512 connections."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.bench import closed_loop, figures
from tests.bench.closed_loop import Load
from tests.bench.field import interleaved
from tests.bench.ours import ALL_ON, Ours
from tests.bench.plan import Plan
from tests.bench.works import IRIS

COUNTS = (16, 64, 512)


def run(plan: Plan) -> dict[str, Any]:
    server = Ours(threads=2 * max(COUNTS), models=("iris",))
    server.start()
    try:
        call = server.call(IRIS)
        closed_loop.load(call, connections=64, seconds=1)

        def measure(count: int) -> Load:
            return closed_loop.load(call, connections=count, seconds=max(plan.seconds, 2))

        found = interleaved(plan.rounds, [(str(count), partial(measure, count)) for count in COUNTS])
    finally:
        server.stop()
    rows = [
        figures.loads_row(loads, work=IRIS.name, connections=int(count), contender="ours")
        for count, loads in found.items()
    ]
    for row in rows:
        print(f"  {row['connections']} connections: {row['rate']}/s, {row['refused']} refused", flush=True)
    return {"rounds": plan.rounds, "switched": ALL_ON, "threads": 2 * max(COUNTS), "rows": rows}
