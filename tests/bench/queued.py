"""The queued path under load: accepted and completed per second, and what `Prefer: wait` takes on an idle system.

    python -m tests.bench.queued embedded --clients 64
    python -m tests.bench.queued services --clients 128 --profile web.svg

wrk is the load generator. What counts is what ended: rows that succeeded, over the time from the first acceptance to
the last end; a refused request counts as not done.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sqlite3
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.bench.resting import cpu_of, until_idle
from tests.running import Server, prepared_server

BODY = json.dumps({"model": "iris", "input": {"instances": [[5.1, 3.5, 1.4, 0.2]]}})
#: Open predictions allowed while it is measured: the project's own limit is made for a busy day, not for a race.
OPEN_LIMIT = 1_000_000

_SCRIPT = """
wrk.method = "POST"; wrk.body = [==[%(body)s]==]
wrk.headers["Content-Type"] = "application/json"; wrk.headers["Authorization"] = "Bearer %(key)s"
done = function(summary, latency, requests)
  io.write(string.format('\\n{"answers":%%d,"us":%%d,"refused":%%d,"broken":%%d,"p50_us":%%d,"p99_us":%%d}\\n',
    summary.requests, summary.duration, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """One run. Latency is that of the POST, milliseconds; `drain_s` from the last POST to the last end; `cpu_us` what
    our own processes spent on one prediction, which a busy machine changes least."""

    clients: int
    accepted_per_s: float
    completed_per_s: float
    refused: int
    broken: int
    completed: int
    drain_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float


def submit(server: Server, *, clients: int, seconds: float) -> Figures:
    """POST from so many connections for so long, then wait until everything accepted has ended."""
    before, cpu = _ended(server), _cpu_s(server)
    answer = _wrk(server, clients=clients, seconds=seconds)
    stopped = time.time()
    accepted = answer["answers"] - answer["refused"]
    took = answer["us"] / 1e6
    count, first, last = _wait_until_ended(server, before, accepted)
    return Figures(
        clients=clients,
        accepted_per_s=round(accepted / took, 1),
        completed_per_s=round(count / max(last - first, took), 1),
        refused=answer["refused"],
        broken=answer["broken"],
        completed=count,
        drain_s=round(max(0.0, last - stopped), 2),
        p50_ms=round(answer["p50_us"] / 1000, 2),
        p99_ms=round(answer["p99_us"] / 1000, 2),
        cpu_us=round((_cpu_s(server) - cpu) / max(1, count) * 1e6),
    )


def _cpu_s(server: Server) -> float:
    """Seconds of processor that the server's own processes (not its database, broker or cache) have used."""
    stack = getattr(server, "stack", None)
    pids = [server.worker] if stack is None else [process.pid for process in stack.processes.values()]
    pids += [] if stack is None else [server.worker]
    return sum(map(cpu_of, pids))


def rest(server: Server) -> None:
    """Until the server, and every process and service it works with, has done what the load before left to do."""
    stack = getattr(server, "stack", None)
    roots = [server.supervisor]
    if stack is not None:
        roots += [process.pid for name, process in stack.processes.items() if name != "web"]
        roots += [service.pid for service in stack.servers.values()]
    until_idle(roots)


def waits(server: Server, *, count: int = 200) -> dict[str, float]:
    """`Prefer: wait` one after the other on an idle system, once it is at rest: milliseconds."""
    rest(server)
    headers = {"Content-Type": "application/json", "Prefer": "wait", "Authorization": f"Bearer {server.key}"}
    connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
    took = []
    for _ in range(count):
        began = time.perf_counter()
        connection.request("POST", "/v1/predictions", BODY, headers)
        answer = connection.getresponse()
        shown = json.loads(answer.read())
        took.append((time.perf_counter() - began) * 1000)
        assert (answer.status, shown["status"]) == (201, "succeeded"), shown
    connection.close()
    ranks = statistics.quantiles(took, n=100)
    return {"p50_ms": round(ranks[49], 2), "p90_ms": round(ranks[89], 2), "p99_ms": round(ranks[98], 2)}


def _wrk(server: Server, *, clients: int, seconds: float) -> dict[str, Any]:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_SCRIPT % {"body": BODY, "key": server.key})
        script.flush()
        command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds:g}s", "--timeout", "30s", "-s", script.name]
        ended = subprocess.run(
            [*command, f"{server.url}/v1/predictions"], capture_output=True, text=True, timeout=seconds + 60, check=True
        )
    return dict(json.loads(ended.stdout.strip().splitlines()[-1]))


def _wait_until_ended(server: Server, before: int, accepted: int, limit: float = 120.0) -> tuple[int, float, float]:
    """(ended in this run, first acceptance, last end): the last two as Unix times."""
    end = time.monotonic() + limit
    while True:
        count = _ended(server) - before
        if count >= accepted and not _owed(server):
            break
        if time.monotonic() > end:
            break
        time.sleep(0.2)
    first, last = _times(server, skip=before)
    return count, first, last


def _ended(server: Server) -> int:
    return int(_row(server, "SELECT count(*) FROM predictions_prediction WHERE status = 'succeeded'")[0])


def _owed(server: Server) -> int:
    """Predictions that have not ended, or whose record is not in the store yet."""
    return int(_row(server, "SELECT count(*) FROM predictions_prediction WHERE recorded_at IS NULL")[0])


def _times(server: Server, *, skip: int) -> tuple[float, float]:
    first = _row(
        server, f"SELECT {_epoch(server, 'accepted_at')} FROM predictions_prediction ORDER BY id LIMIT 1 OFFSET {skip}"
    )
    last = _row(server, f"SELECT max({_epoch(server, 'completed_at')}) FROM predictions_prediction")
    return float(first[0]), float(last[0])


def _epoch(server: Server, column: str) -> str:
    if database_url(server):
        return f"extract(epoch FROM {column})"
    return f"(julianday({column}) - 2440587.5) * 86400.0"


def _row(server: Server, sql: str) -> Any:
    url = database_url(server)
    if url:
        import psycopg

        with psycopg.connect(url) as connection:
            return connection.execute(sql).fetchone()
    with contextlib.closing(sqlite3.connect(f"file:{server.folder}/serving.sqlite3?mode=ro", uri=True)) as connection:
        return connection.execute(sql).fetchone()


def database_url(server: Server) -> str:
    stack = getattr(server, "stack", None)
    return str(stack.environment.get("DATABASE_URL", "")) if stack is not None else ""


def allow_many(server: Server) -> None:
    """Raise the limits of open predictions of the project and of iris."""
    statements = [
        f"UPDATE models_registry_project SET open_limit = {OPEN_LIMIT}",
        f"UPDATE models_registry_registeredmodel SET open_limit = {OPEN_LIMIT}",
        "UPDATE models_registry_registryrevision SET revision = revision + 1",
    ]
    url = database_url(server)
    if url:
        import psycopg

        with psycopg.connect(url) as connection:
            for statement in statements:
                connection.execute(statement)
    else:
        with contextlib.closing(sqlite3.connect(server.folder / "serving.sqlite3", timeout=10)) as file, file:
            for statement in statements:
                file.execute(statement)
    time.sleep(1.0)


@contextlib.contextmanager
def started(mode: str, folder: Path, *, clients: int) -> Iterator[Server]:
    """A server of the given mode with threads for twice the clients."""
    environment = {"BLOCKING_THREADS": str(2 * clients + 16)}
    if mode == "embedded":
        with prepared_server(folder, environment=environment) as server:
            yield server
    else:
        from tests.services import running_services

        with running_services(folder, environment=environment, web_processes=1) as services:
            yield services


@contextlib.contextmanager
def profiled(pid: int, path: str | None) -> Iterator[None]:
    """py-spy beside the block, when a path is given: what the process did, as a flame graph or as raw stacks."""
    if path is None:
        yield
        return
    shape = "raw" if path.endswith(".txt") else "flamegraph"
    command = [
        "py-spy",
        "record",
        "-p",
        str(pid),
        "-o",
        path,
        "-f",
        shape,
        "-r",
        "100",
        *([] if os.environ.get("NOGIL") else ["--gil"]),
        "-d",
        "3600",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.send_signal(2)
        process.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=["embedded", "services"])
    parser.add_argument("--clients", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", help="a .svg or .txt that py-spy writes of the web process")
    asked = parser.parse_args()
    clients = asked.clients or (64 if asked.mode == "embedded" else 128)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        os.chmod(folder, 0o755)  # servers of the services mode run under an account of their own
        server = stack.enter_context(started(asked.mode, Path(folder), clients=clients))
        allow_many(server)
        submit(server, clients=clients, seconds=2)
        time.sleep(2)
        print(json.dumps({"wait": waits(server)}), flush=True)
        for _ in range(asked.rounds):
            with profiled(server.worker, asked.profile):
                print(json.dumps(asdict(submit(server, clients=clients, seconds=asked.seconds))), flush=True)


if __name__ == "__main__":
    main()
