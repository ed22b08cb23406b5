"""Open loop: what a call waits at half and at four fifths of each server's maximum; ours also at every peer's rate."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from tests.bench import figures, open_loop
from tests.bench.field import Field, interleaved
from tests.bench.open_loop import Latency
from tests.bench.plan import Plan
from tests.bench.works import IRIS

SHARES = (0.5, 0.8)
#: Milliseconds for which the generator may be kept from its core within a window; windows taken at most.
HELD_UP_MS, MOST_WINDOWS = 3.0, 3


def run(plan: Plan, field: Field, online: dict[str, Any]) -> dict[str, Any]:
    """`online` has each server's maximum. Contenders with something switched off are left out."""
    calls = {one.name: one.call(IRIS) for one in field.running if "off" not in one.switched}
    best = maxima(online, calls)
    asked = [(name, share, share * best[name], name) for name in best for share in SHARES]
    asked += [("ours", 0.0, 0.5 * best[name], name) for name in best if name != "ours" and "ours" in best]

    again: list[int] = []
    servers = {one.name: one for one in field.running}

    def measure(name: str, rate: float) -> Latency:
        def window() -> Latency:
            with field.alone(name):
                servers[name].rest()
                return open_loop.load(calls[name], rate=rate, seconds=plan.seconds)

        found, windows = undisturbed(window)
        again.append(windows - 1)
        return found

    work = [(str(at), partial(measure, one[0], one[2])) for at, one in enumerate(asked)]
    found = interleaved(plan.rounds, work)
    rows = []
    for at, (name, share, _, beside) in enumerate(asked):
        row = figures.medians(found[str(at)], contender=name, share=share, beside=beside)
        rows.append(row)
        print(f"  {name} at {row['asked_rate']:.0f}/s: p50 {row['p50_ms']} ms, p99 {row['p99_ms']} ms", flush=True)
    about = {"rounds": plan.rounds, "seconds": plan.seconds, "contenders": field.facts()}
    return {**about, "again": sum(again), "rows": rows}


def undisturbed(window: Callable[[], Latency]) -> tuple[Latency, int]:
    """The first window in which the generator was not kept from its own core, or the least disturbed of `MOST_WINDOWS`;
    and how many it took. The calls it should have made then come all at once, which no server is to blame for."""
    windows: list[Latency] = []
    while len(windows) < MOST_WINDOWS and all(one.held_up_ms > HELD_UP_MS for one in windows):
        windows.append(window())
    return min(windows, key=lambda one: one.held_up_ms), len(windows)


def maxima(online: dict[str, Any], names: Any) -> dict[str, float]:
    """Each server's best rate with one row of iris, whatever the number of connections."""
    best: dict[str, float] = {}
    for row in online.get("rows", []):
        if row["work"] == IRIS.name and row["contender"] in names:
            best[row["contender"]] = max(best.get(row["contender"], 0.0), row["rate"])
    return best
