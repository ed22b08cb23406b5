"""Closed loop, one server core: as many calls as 16 or 64 connections can make."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.bench import closed_loop, figures
from tests.bench.closed_loop import Load
from tests.bench.field import Field, interleaved
from tests.bench.plan import Plan
from tests.bench.works import FOREST, IRIS, WIDE, WIDE_BINARY, Work

#: (work, connections)
ASKED: tuple[tuple[Work, int], ...] = ((IRIS, 16), (IRIS, 64), (FOREST, 16), (WIDE, 16), (WIDE_BINARY, 16))
WORKS = (IRIS, FOREST, WIDE, WIDE_BINARY)
WARM_S = 1.0


def run(plan: Plan, field: Field) -> dict[str, Any]:
    rows = []
    for work, connections in ASKED:
        able = [contender for contender in field.running if work.name in contender.works]
        calls = {contender.name: contender.call(work) for contender in able}
        for contender in able:
            with field.alone(contender.name):
                contender.rest()
                closed_loop.load(calls[contender.name], connections=connections, seconds=WARM_S)

        def measure(name: str, calls: dict[str, Any] = calls, connections: int = connections) -> Load:
            with field.alone(name):
                return closed_loop.load(calls[name], connections=connections, seconds=plan.seconds)

        found = interleaved(plan.rounds, [(name, partial(measure, name)) for name in calls])
        for name, loads in found.items():
            row = figures.loads_row(loads, work=work.name, connections=connections, contender=name)
            rows.append(row)
            print(f"  {work.name}, {connections} connections, {name}: {row['rate']:.0f}/s", flush=True)
    return {
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "contenders": field.facts(),
        "missing": field.missing,
        "rows": rows,
    }
