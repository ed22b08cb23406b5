"""The embedded mode on both cores: queued work with SQLite at synchronous=FULL, and `Prefer: wait` when idle."""

from __future__ import annotations

from typing import Any

from tests.bench import figures, queued
from tests.bench.ours import ALL_ON, fresh_folder
from tests.bench.plan import Plan

CLIENTS = 64
QUEUED_S = 4.0


def run(plan: Plan) -> dict[str, Any]:
    seconds = max(plan.seconds, QUEUED_S if plan.peers else 2.0)
    with queued.started("embedded", fresh_folder("embedded"), clients=CLIENTS) as server:
        queued.allow_many(server)
        queued.submit(server, clients=CLIENTS, seconds=1)
        waits = queued.waits(server)
        print(f"  Prefer: wait {waits}", flush=True)
        runs = [queued.submit(server, clients=CLIENTS, seconds=seconds) for _ in range(plan.rounds)]
    each = [one.completed_per_s for one in runs]
    row = figures.medians(runs, contender="ours", clients=CLIENTS, completed_each=each)
    row["refused"] = sum(one.refused for one in runs)
    print(f"  accepted {row['accepted_per_s']}/s, completed {row['completed_per_s']}/s", flush=True)
    switched = f"{ALL_ON}, synchronous=FULL"
    return {"rounds": plan.rounds, "seconds": seconds, "switched": switched, "rows": [row], "wait": waits}
