"""The queued path with an almost empty ledger, and with a million finished rows in it."""

from __future__ import annotations

from typing import Any

import psycopg

from tests.bench import figures, queued
from tests.bench.plan import Plan
from tests.bench.sections.services import CLIENTS
from tests.services import Services

ROWS = 1_000_000
QUICK_ROWS = 100_000
SECONDS = 3.0
_TABLE = "predictions_prediction"
#: Ids as of the day before, twenty in a millisecond, so that they lie in the index as real ones do.
_ID = """(lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint - 86400000 + n / 20), 12, '0') || '7'
 || substr(md5(n::text), 1, 3) || 'a' || substr(md5(n::text), 4, 15))::uuid"""


def run(plan: Plan, services: Services) -> dict[str, Any]:
    rows = ROWS if plan.peers else QUICK_ROWS
    rounds = min(3, plan.rounds)
    before = [queued.submit(services, clients=CLIENTS, seconds=SECONDS) for _ in range(rounds)]
    _fill(queued.database_url(services), rows)
    queued.submit(services, clients=CLIENTS, seconds=1)
    after = [queued.submit(services, clients=CLIENTS, seconds=SECONDS) for _ in range(rounds)]
    found = [figures.medians(before, ledger_rows=0), figures.medians(after, ledger_rows=rows)]
    for row in found:
        print(f"  {row['ledger_rows']} rows before: completed {row['completed_per_s']}/s", flush=True)
    return {"rounds": rounds, "seconds": SECONDS, "rows": found}


def _fill(url: str, count: int) -> None:
    """Copies of one finished and recorded row, each with an id of its own and without a key."""
    with psycopg.connect(url, autocommit=True) as connection:
        columns = connection.execute(f"SELECT * FROM {_TABLE} LIMIT 0").description or []
        names = [column.name for column in columns if column.name not in ("id", "idempotency_key")]
        listed = ", ".join(f'"{name}"' for name in names)
        connection.execute(
            f"INSERT INTO {_TABLE} (id, {listed}) SELECT {_ID}, {listed} FROM generate_series(1, {count}) AS n, "
            f"(SELECT * FROM {_TABLE} WHERE recorded_at IS NOT NULL LIMIT 1) AS one"
        )
        connection.execute(f"VACUUM ANALYZE {_TABLE}")
