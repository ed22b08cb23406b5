"""Where the time of a queued prediction goes, hop by hop, and what a ledger of a million rows costs.

    python -m tests.bench.hops sqlite
    python -m tests.bench.hops postgresql --rows 1000000

Each hop is timed by itself on an idle ledger, in batches: group commit, claim, inference, settle, tell (hot results and
wake-ups), record. Milliseconds of a batch as its caller waits for it, and of the caller's own processor.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.running import ROOT, clean_environment, prepared_folder

BATCHES = (1, 16, 64, 256)
INPUT = b'{"instances":[[5.1,3.5,1.4,0.2]]}'


class Clock:
    """Seconds by hop: as the caller waits, and of its processor."""

    def __init__(self) -> None:
        self.waited: dict[str, list[float]] = defaultdict(list)
        self.worked: dict[str, list[float]] = defaultdict(list)

    def time(self, hop: str, work: Callable[[], Any]) -> Any:
        began, cpu = time.perf_counter(), time.thread_time()
        found = work()
        self.waited[hop].append(time.perf_counter() - began)
        self.worked[hop].append(time.thread_time() - cpu)
        return found

    def table(self) -> dict[str, dict[str, float]]:
        """Medians in milliseconds."""
        return {
            hop: {"ms": _ms(self.waited[hop]), "cpu_ms": _ms(self.worked[hop])}
            for hop in self.waited
        }  # fmt: skip


def _ms(seconds: list[float]) -> float:
    return round(statistics.median(seconds) * 1000, 3)


def hops(size: int, *, rounds: int) -> dict[str, dict[str, float]]:
    """One batch of so many predictions through every hop, `rounds` times."""
    clock = Clock()
    for _ in range(rounds):
        _one_batch(size, clock)
    return clock.table()


def _one_batch(size: int, clock: Clock) -> None:
    from models_registry import snapshot
    from monitoring import stores
    from predictions.queued import aftermath, execution, keeper, ledger

    version = next(one for one in snapshot.current().versions.values() if one.model == "iris")
    predictor = snapshot.predictor(version, wait=10)
    drafts = [_draft(version) for _ in range(size)]
    clock.time("group commit", lambda: ledger.accept(drafts))
    rows = clock.time("claim", lambda: ledger.claim([one.id for one in drafts], lease_s=15, max_attempts=3))

    def infer() -> Any:
        asked, failed = execution._decode(rows, version)
        assert not failed
        outcomes = execution._predict(predictor, [one.inputs for one in asked], 30)
        return [execution._ending(one.row, found, version, 1.0) for one, found in zip(asked, outcomes, strict=True)]

    endings = clock.time("decode, infer, encode", infer)
    ended = clock.time("settle", lambda: ledger.settle(rows[0].fence, endings))
    assert len(ended) == size
    clock.time("tell", lambda: aftermath.tell_settled(rows, endings, ended))
    source = keeper.Rows()
    found = clock.time("read for the record", lambda: source.batch(size))
    clock.time("record", lambda: stores.open_store().create([record for _, record in found]))
    clock.time("mark", lambda: source.mark([token for token, _ in found]))


def _draft(version: Any) -> Any:
    from monitoring.ids import mint
    from predictions.queued.ledger import Draft

    return Draft(
        id=mint(),
        project_id=version.project_id,
        project=version.project,
        key="sbk_bench",
        request_id="",
        model=version.model,
        version=version.number,
        version_id=version.id,
        digest=version.digest,
        route="alias champion",
        pool=version.pool,
        priority="standard",
        rows=1,
        input=INPUT,
        deadline_s=3600.0,
    )


def sweeps_cost(*, rounds: int = 5) -> dict[str, dict[str, float]]:
    """What the keeper looks for in each round, and the counts beside it."""
    from predictions.queued import backlog, sweeps
    from predictions.queued.admission import GATE
    from predictions.queued.horizon import HORIZON

    clock = Clock()
    for _ in range(rounds):
        HORIZON.forget()
        clock.time("oldest open row, all looked at", HORIZON.least)
        clock.time("overdue", sweeps.end_overdue)
        clock.time("expired leases", lambda: sweeps.take_back_expired(max_attempts=3))
        clock.time("due nudges", sweeps.move_due)
        clock.time("500 rows to record", lambda: sweeps.unrecorded(500))
        clock.time("count of the queues", backlog.Backlog(()).count)
        clock.time("sample of admission", GATE.sample)
    return clock.table()


def fill(count: int, *, recorded: bool) -> float:
    """Add so many ended rows, older than all others; the seconds that took."""
    from django.db import connection

    began = time.perf_counter()
    stamp = "now() - interval '1 hour'" if connection.vendor == "postgresql" else "datetime('now','-1 hour')"
    given = _constants(stamp, recorded=recorded)
    if connection.vendor == "postgresql":
        series = f"generate_series(1, {count}) AS n"
        identifier = "(lpad(to_hex(n), 12, '0') || '70008' || substr(md5(n::text), 1, 15))::uuid"
        given["input"] = f"'{INPUT.decode()}'::bytea"
        given["output"] = '\'{"label":["setosa"]}\'::bytea'
    else:
        series = f"(WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {count}) SELECT n FROM c)"
        identifier = "printf('%012x', n) || '70008' || substr(lower(hex(randomblob(8))), 1, 15)"
    names = ",".join(f'"{name}"' for name in given)
    values = ",".join(given.values())
    _directly(f"INSERT INTO predictions_prediction (id,{names}) SELECT {identifier},{values} FROM {series}")
    _directly("VACUUM ANALYZE predictions_prediction" if connection.vendor == "postgresql" else "ANALYZE")
    return time.perf_counter() - began


def _directly(statement: str) -> None:
    """Outside the limits of time that our own connections keep to."""
    from django.db import connection

    if connection.vendor == "postgresql":
        import psycopg

        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as direct:
            direct.execute(statement)
    else:
        connection.ensure_connection()
        connection.connection.execute(statement)


def _constants(stamp: str, *, recorded: bool) -> dict[str, str]:
    words = {"project": "demo", "key": "sbk", "request_id": "", "traceparent": "", "subject": "", "model": "iris"}
    words |= {"digest": "d" * 64, "route": "alias champion", "pool": "default", "priority": "standard", "cache": ""}
    words |= {"protocol": "replicate", "body_hash": "", "status": "succeeded", "error_code": "", "error": ""}
    words |= {"version_id": "0" * 32}
    plain = {name: f"'{word}'" for name, word in words.items()}
    plain |= {"project_id": "1", "version": "1", "rows": "1", "inference_ms": "1.0", "sends": "0", "attempts": "0"}
    plain |= dict.fromkeys(("accepted_at", "deadline_at", "started_at", "completed_at", "next_send_at"), stamp)
    plain |= {"recorded_at": stamp if recorded else "NULL", "alone": "FALSE"}
    plain |= {"input": f"CAST('{INPUT.decode()}' AS BLOB)", "output": 'CAST(\'{"label":["setosa"]}\' AS BLOB)'}
    return plain


def hot_ratio() -> float | None:
    """The share of updates that PostgreSQL made in place since it last forgot; None on SQLite."""
    from django.db import connection

    if connection.vendor != "postgresql":
        return None
    time.sleep(1.5)  # statistics are sent once a second
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute(
            "SELECT n_tup_hot_upd, n_tup_upd FROM pg_stat_user_tables WHERE relname = 'predictions_prediction'"
        )
        in_place, updates = cursor.fetchone()
        cursor.execute("SELECT pg_stat_reset()")
    return float(round(in_place / max(1, updates), 3))


def fill_factors(*, rounds: int = 10, size: int = 64) -> dict[str, float | None]:
    """The share of updates in place by fill factor, of batches through every hop."""
    from django.db import connection

    found: dict[str, float | None] = {}
    for factor in (100, 80, 60):
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE predictions_prediction")
            cursor.execute(f"ALTER TABLE predictions_prediction SET (fillfactor = {factor})")
        hot_ratio()
        hops(size, rounds=rounds)
        found[str(factor)] = hot_ratio()
    return found


@contextmanager
def database(vendor: str, folder: Path) -> Iterator[dict[str, str]]:
    """The environment of a private database with the demo models in it."""
    if vendor == "sqlite":
        shutil.copytree(prepared_folder(), folder / "data")
        yield clean_environment(folder / "data")
        return
    from serving_site.stack import postgres

    server = postgres.start(folder / "postgres")
    environment = clean_environment(folder / "data", DATABASE_URL=server.url)
    try:
        command = [sys.executable, str(ROOT / "manage.py"), "prepare"]
        subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True, timeout=300)
        yield environment
    finally:
        server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("vendor", choices=["sqlite", "postgresql"])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--rows", type=int, default=0, help="rows that the ledger grows by")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        with database(asked.vendor, Path(name)) as environment:
            os.environ.update(environment, DJANGO_SETTINGS_MODULE="serving_site.settings")
            import django

            django.setup()
            _report(asked)


def _report(asked: argparse.Namespace) -> None:
    from django.db import connections

    from models_registry import snapshot

    snapshot.refresh(wait=30)
    hops(16, rounds=3)
    for size in BATCHES:
        _print({"batch": size, "hops": hops(size, rounds=asked.rounds)})
    if asked.vendor == "postgresql":
        _print({"updates in place by fill factor": fill_factors()})
    if asked.rows:
        before = hops(64, rounds=asked.rounds)
        _print({"seconds to add recorded rows": round(fill(asked.rows, recorded=True), 1)})
        after = hops(64, rounds=asked.rounds)
        _print({"rows": asked.rows, "before": before, "after": after})
        _print({"sweeps": sweeps_cost()})
        _directly("UPDATE predictions_prediction SET recorded_at = NULL")
        _print({"unrecorded rows": asked.rows, "sweeps": sweeps_cost()})
    connections.close_all()
    snapshot.close()


def _print(found: Any) -> None:
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
