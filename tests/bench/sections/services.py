"""The services mode: queued work beside FastAPI + Celery, `Prefer: wait`, two server processes, records shipped."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from serving_site.stack import processes
from serving_site.stack.processes import Process
from serving_site.stack.server import discard, free_port
from tests.bench import closed_loop, figures, queued
from tests.bench.field import SETTLE_S, interleaved
from tests.bench.launched import below, freeze, thaw
from tests.bench.machine import CLIENT_CORE, SERVER_CORE, WORKSHOP
from tests.bench.ours import ALL_ON, infer_call, publish
from tests.bench.peers.fastapi_celery import LABEL, NAME, FastApiCelery, another_database
from tests.bench.plan import Plan
from tests.bench.works import HEAVY, IRIS
from tests.services import Services

CLIENTS = 128
QUEUED_S = 4.0
WAITS = 200
RECORDS = 30_000


@contextlib.contextmanager
def started(given: Mapping[str, str] | None = None) -> Iterator[Services]:
    """The whole stack below var/bench, with one web process and threads for twice the clients; `given` are settings."""
    folder = WORKSHOP / "run" / "services"
    if folder.exists():
        discard(folder)
    folder.mkdir(parents=True)
    settings = {"BLOCKING_THREADS": str(2 * CLIENTS + 16), **(given or {})}
    services = Services(folder, environment=settings, web_processes=1)
    try:
        services.start()
        queued.allow_many(services)
        yield services
    finally:
        services.stop()
        with contextlib.suppress(OSError):
            discard(folder)
        shutil.rmtree(folder, ignore_errors=True)


def run_queued(plan: Plan, services: Services) -> dict[str, Any]:
    """Accepted and completed per second on all cores, ours and the peer in turn; then waits on an idle system."""
    seconds = max(plan.seconds, QUEUED_S if plan.peers else 2.0)
    queued.submit(services, clients=CLIENTS, seconds=1)
    waits = queued.waits(services, count=WAITS)
    print(f"  Prefer: wait {waits}", flush=True)
    work = {"ours": lambda: _at_rest(services, seconds)}
    peer, missing = None, {}
    if plan.peers:
        peer = FastApiCelery(
            services.stack.environment["RABBITMQ_URL"].split(";")[0],
            another_database(services.stack.environment["REDIS_URL"]),
        )
    with contextlib.ExitStack() as stack:
        if peer is not None:
            try:
                stack.enter_context(peer)
            except Exception as error:
                missing[NAME] = str(error)[:500]
            else:
                peer.measure(clients=CLIENTS, seconds=1)
                work[NAME] = lambda: _beside(services, peer, seconds)
        found = interleaved(plan.rounds, list(work.items()))
    rows = []
    for name, runs in found.items():
        each = [one.completed_per_s for one in runs]
        row = figures.medians(runs, contender=name, clients=CLIENTS, completed_each=each)
        row["refused"] = sum(one.refused for one in runs)
        rows.append(row)
        print(f"  {name}: accepted {row['accepted_per_s']}/s, completed {row['completed_per_s']}/s", flush=True)
    facts = {
        "ours": {"label": "ours", "switched": f"{ALL_ON}, fsync, publisher confirms, quorum queues"},
        NAME: {"label": LABEL, "switched": "no authentication, no records, no confirms, classic queue, Redis unsaved"},
    }
    return {"rounds": plan.rounds, "seconds": seconds, "contenders": facts, "missing": missing, "rows": rows} | {
        "wait": waits
    }


def _at_rest(services: Services, seconds: float) -> queued.Figures:
    """Our window, once the records of the one before are shipped: with many owed, their keeper gives way no more."""
    queued.rest(services)
    return queued.submit(services, clients=CLIENTS, seconds=seconds)


def _beside(services: Services, peer: FastApiCelery, seconds: float) -> Any:
    """The peer's window, while our own processes stand still: they share its broker and its Redis, not its cores."""
    pids = [process.pid for process in services.stack.processes.values()]
    for pid in pids:
        freeze(pid)
    try:
        return peer.measure(clients=CLIENTS, seconds=seconds)
    finally:
        for pid in pids:
            thaw(pid)
        time.sleep(1.0)


def run_processes(plan: Plan, services: Services) -> dict[str, Any]:
    """A model of more than 5 ms per call, one server process against two, each tied to a core of its own."""
    publish(services, HEAVY.model)
    pairs = {"one process": _another(services, 1), "two processes": _another(services, 2)}
    cores = (SERVER_CORE, CLIENT_CORE)
    calls = {}
    try:
        for name, web in pairs.items():
            call = infer_call(services, HEAVY)
            url = call.url.replace(f":{services.port}/", f":{web.plan.port}/")
            calls[name] = type(call)(url, call.headers, call.body, call.read)
            assert calls[name].is_right(HEAVY)
            for worker, core in zip(below(web.pid)[1:], cores, strict=False):
                tie(worker, core)

        def measure(name: str) -> Any:
            for other, web in pairs.items():
                (thaw if other == name else freeze)(web.pid)
            time.sleep(SETTLE_S)
            return closed_loop.load(calls[name], connections=16, seconds=max(plan.seconds, 2), core=None)

        with _storing_still(services):
            found = interleaved(plan.rounds, [(name, partial(measure, name)) for name in pairs])
    finally:
        for web in pairs.values():
            thaw(web.pid)
            web.stop()
    rows = [figures.loads_row(loads, work=HEAVY.name, contender=name) for name, loads in found.items()]
    for row in rows:
        print(f"  {row['contender']}: {row['rate']}/s", flush=True)
    return {"rounds": plan.rounds, "rows": rows, "p50_of_one_call_ms": _one_call(services)} | {
        "switched": f"{ALL_ON}; keeper and Elasticsearch stand still meanwhile"
    }


@contextlib.contextmanager
def _storing_still(services: Services) -> Iterator[None]:
    """Records wait in the spool: keeper and Elasticsearch take up to two fifths of a core, and both of two are to be
    the server processes' own. With one process they would have the second core for themselves."""
    pids = [services.stack.processes["keeper"].pid, services.stack.servers["elasticsearch"].pid]
    for pid in pids:
        freeze(pid)
    try:
        yield
    finally:
        for pid in pids:
            thaw(pid)


def _another(services: Services, count: int) -> Process:
    """A web server of the same stack with so many processes, on a port of its own."""
    plan = processes.web(f"web-{count}", port=free_port(), processes=count)
    web = Process(plan, services.stack.root, services.stack.environment)
    web.start()
    return web


def tie(pid: int, core: int) -> None:
    """A running process with all its threads to one core."""
    import os

    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            os.sched_setaffinity(int(thread.name), {core})


def _one_call(services: Services) -> float:
    """Milliseconds of inference of one call on an idle server."""
    call = infer_call(services, HEAVY)
    took = []
    for _ in range(20):
        began = time.perf_counter()
        call.answer()
        took.append((time.perf_counter() - began) * 1000)
    return figures.rounded(sorted(took)[len(took) // 2])


def run_records(plan: Plan, services: Services) -> dict[str, Any]:
    """Records of online calls wait in the spool while the keeper stands still; then it ships them as fast as it can."""
    import httpx

    publish(services, IRIS.model)
    keeper = services.stack.processes["keeper"].pid
    rates = []
    # Kept: made anew for each look, 27 ms of processor time twenty times a second, it would take half a core.
    store = httpx.Client(base_url=services.stack.environment["ELASTICSEARCH_URL"], timeout=20)
    for _ in range(min(3, plan.rounds)):
        began_with = _indexed(store)
        freeze(keeper)
        wanted, made = RECORDS if plan.peers else RECORDS // 5, 0
        while made < wanted:
            answered = closed_loop.load(infer_call(services, IRIS), connections=64, seconds=2, core=None).answered
            if not answered:
                raise AssertionError("the server no longer answers")
            made += answered
        thaw(keeper)
        rates.append(_shipped(store, began_with, made))
        print(f"  {made} records at {rates[-1]:.0f}/s", flush=True)
    store.close()
    return {"rounds": len(rates), "rates": [figures.rounded(rate) for rate in rates], "rows": []} | {
        "rate": figures.rounded(sorted(rates)[len(rates) // 2])
    }


def _shipped(store: Any, began_with: int, made: int, limit: float = 300.0) -> float:
    """Records per second between the first and the last that Elasticsearch took."""
    first: tuple[float, int] | None = None
    end = time.monotonic() + limit
    while time.monotonic() < end:
        count, now = _indexed(store) - began_with, time.monotonic()
        if count and first is None:
            first = now, count
        if count >= made and first is not None:
            # The first look sees the first bulk whole: its time is that before it.
            return (count - first[1]) / max(0.05, now - first[0])
        time.sleep(0.05)
    raise AssertionError(f"{made} records were not shipped within {limit} s")


def _indexed(store: Any) -> int:
    found = store.get("/serving-predictions-*/_stats/indexing").json()
    return int(found["_all"]["primaries"].get("indexing", {}).get("index_total", 0))
