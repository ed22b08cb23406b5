"""More worker and web processes with a model that waits 50 ms a row, so that two cores suffice; then the simulation."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

import psycopg

from serving_site import roles
from serving_site.stack import processes
from serving_site.stack.processes import Process
from serving_site.stack.server import free_port
from tests.bench import closed_loop, figures, queued
from tests.bench.contenders import Call
from tests.bench.launched import below
from tests.bench.machine import CORES
from tests.bench.plan import Plan
from tests.bench.queueing import Ledger, count_for, simulate
from tests.bench.sections import services as stacks
from tests.running import ROOT
from tests.services import Services

#: The settings that know the model; as a program that module registers it under this name.
SETTINGS, MODEL = "tests.bench.waiting", "waiting"
WORKERS, WEBS, LARGE = (1, 2, 4), (1, 2), (10, 100, 1000)
#: Predictions in the queue per worker process of a window: five seconds of work.
BACKLOG = 100
#: The part of a window's ends that counts: not the first, while workers wake, nor the last, when some have no more.
MIDDLE = (0.2, 0.9)
ONE_BY_ONE = 40
CONNECTIONS, ONLINE_S = 8, 10.0
BURST_CLIENTS, BURST_S = 64, 2.0
#: Of the throughput that so many workers reach: how they are loaded where waiting is asked for.
LOADED = 0.8
WAIT_S = 120.0


def run(plan: Plan) -> dict[str, Any]:
    rounds = min(3, plan.rounds)
    with stacks.started({"DJANGO_SETTINGS_MODULE": SETTINGS}) as services:
        _register(services)
        costs = _costs(services)
        service_s = _one_by_one(services)
        print(f"  one call {statistics.median(service_s) * 1000:.1f} ms, costs in µs {costs}", flush=True)
        ledger = Ledger(costs["PostgreSQL"] / 1e6, len(CORES))
        rows = [*_workers(services, rounds), *_webs(services, rounds)]
    for row in rows:
        _compare(row, service_s, ledger if row["path"] == "queued" else Ledger(0.0))
    simulated = [_simulated(workers, service_s, ledger, costs) for workers in LARGE]
    return {
        "rounds": rounds,
        "worker_threads": roles.WORKER_THREADS,
        "service_ms": figures.rounded(statistics.median(service_s) * 1000),
        "costs_us": costs,
        "ledger_cores": ledger.cores,
        "ledger_most_per_s": figures.rounded(ledger.most_per_s),
        "rows": rows,
        "simulated": simulated,
    }


def _register(services: Services) -> None:
    environment = {**os.environ, **services.stack.environment, "SERVING_ROLE": "prepare"}
    command = [sys.executable, "-m", SETTINGS]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True, timeout=120)
    queued.allow_many(services)
    end = time.monotonic() + WAIT_S
    while services.post(f"/v2/models/{MODEL}/infer", _document())[0] != 200:
        if time.monotonic() > end:
            raise AssertionError("the waiting model does not answer")
        time.sleep(0.5)


def _document() -> dict[str, Any]:
    return {"inputs": [{"name": "input", "shape": [1, 2], "datatype": "FP64", "data": [1.0, 2.0]}]}


def _submit(services: Services, count: int, **headers: str) -> list[dict[str, Any]]:
    """POST so many, several at a time unless they are waited for; what each was answered."""
    document = {"model": MODEL, "input": {"instances": [[1.0, 2.0]]}}

    def one(_: int) -> dict[str, Any]:
        status, answer = services.post("/v1/predictions", document, **headers)
        assert status in (201, 202), answer
        return dict(answer)

    with ThreadPoolExecutor(1 if headers else 8) as pool:
        return list(pool.map(one, range(count)))


def _one_by_one(services: Services) -> list[float]:
    """Seconds that the model takes for one row in a worker of an idle system, its child process included."""
    answers = _submit(services, ONE_BY_ONE, Prefer="wait")
    assert {answer["status"] for answer in answers} == {"succeeded"}, answers[0]
    # The first of them loaded the model.
    return [float(answer["metrics"]["predict_time"]) for answer in answers[5:]]


def _workers(services: Services, rounds: int) -> list[dict[str, Any]]:
    """Queued predictions that end per second, by worker processes of the standard queue."""
    rows, running = [], 1  # the stack has one
    with ExitStack() as stack:
        for count in WORKERS:
            for number in range(running, count):
                stack.callback(_another_worker(services, number).stop)
            running = count
            _backlog(services, 10 * count)  # each new one loads the model
            rates = [_backlog(services, BACKLOG * count) for _ in range(rounds)]
            rows.append(_row("queued", count, rates))
    return rows


def _another_worker(services: Services, number: int) -> Process:
    name, root = f"worker-scale-{number}", services.stack.root
    alive = root / f"{name}.alive"
    plan = processes.worker(name, roles.QUEUES["standard"], port=free_port(), alive=alive)
    worker = Process(plan, root, services.stack.environment)
    worker.start()
    return worker


def _backlog(services: Services, count: int) -> float:
    """Put so many into the queue, wait for their ends, and return how many ended per second in the middle."""
    ids = [answer["id"] for answer in _submit(services, count)]
    ended: list[float] = []
    end = time.monotonic() + WAIT_S
    sql = "SELECT extract(epoch FROM completed_at) FROM predictions_prediction WHERE id = ANY(%s::uuid[])"
    with psycopg.connect(queued.database_url(services), autocommit=True) as connection:
        while len(ended) < count:
            if time.monotonic() > end:
                raise AssertionError(f"{count - len(ended)} of {count} have not ended within {WAIT_S:g} s")
            time.sleep(0.3)
            found = connection.execute(f"{sql} AND status = 'succeeded'", [ids]).fetchall()
            ended = sorted(float(one) for (one,) in found)
    return middle_rate(ended)


def middle_rate(ended: list[float]) -> float:
    """Per second, of sorted times. Those that end together count from the end before them."""
    first, last = (int(share * (len(ended) - 1)) for share in MIDDLE)
    begin, stop = ended[first], ended[last]
    return sum(begin < one <= stop for one in ended) / (stop - begin)


def _webs(services: Services, rounds: int) -> list[dict[str, Any]]:
    """Online calls answered per second, by processes of the web server."""
    rows = []
    for count in WEBS:
        plan = processes.web(f"web-scale-{count}", port=free_port(), processes=count)
        web = Process(plan, services.stack.root, services.stack.environment)
        web.start()
        try:
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {services.key}"}
            url = f"http://127.0.0.1:{plan.port}/v2/models/{MODEL}/infer"
            call = Call(url, headers, json.dumps(_document()).encode(), lambda body, _: body)
            loads = [
                closed_loop.load(call, connections=CONNECTIONS * count, seconds=ONLINE_S, core=None)
                for _ in range(rounds + 1)
            ]
        finally:
            web.stop()
        rows.append(_row("online", count, [load.rate for load in loads[1:]]))
    return rows


def _row(path: str, count: int, rates: list[float]) -> dict[str, Any]:
    print(f"  {path}, {count} processes: {statistics.median(rates):.1f}/s", flush=True)
    each = [figures.rounded(rate) for rate in rates]
    return {"path": path, "processes": count, "per_s": figures.rounded(statistics.median(rates)), "each": each}


def _compare(row: dict[str, Any], service_s: list[float], ledger: Ledger) -> None:
    found = simulate(workers=row["processes"], service_s=service_s, ledger=ledger, count=20_000)
    row["simulated_per_s"] = figures.rounded(found.per_s)
    row["error_percent"] = round(100 * (found.per_s / row["per_s"] - 1), 1)


def _simulated(workers: int, service_s: list[float], ledger: Ledger, costs: Mapping[str, float]) -> dict[str, Any]:
    """So many workers: what they reach, how long one waits at four fifths of that, and the cores each part takes."""
    count = count_for(workers)
    most = simulate(workers=workers, service_s=service_s, ledger=ledger, count=count)
    loaded = simulate(workers=workers, service_s=service_s, ledger=ledger, count=count, rate=LOADED * most.per_s)
    return {
        "workers": workers,
        **{name: figures.rounded(value) for name, value in asdict(most).items() if not name.startswith("wait")},
        "wait_mean_ms": figures.rounded(1000 * loaded.wait_mean_s),
        "wait_p99_ms": figures.rounded(1000 * loaded.wait_p99_s),
        "cores": {name: figures.rounded(most.per_s * cost / 1e6) for name, cost in costs.items()},
    }


def _costs(services: Services) -> dict[str, float]:
    """Microseconds of processor that each part spends on a queued prediction of iris, the system under full load."""
    parts = {name: server.pid for name, server in services.stack.servers.items()}
    parts |= {name: process.pid for name, process in services.stack.processes.items()}
    queued.submit(services, clients=BURST_CLIENTS, seconds=1)
    before = {name: _cpu_s(pid) for name, pid in parts.items()}
    done = queued.submit(services, clients=BURST_CLIENTS, seconds=BURST_S)
    spent: dict[str, float] = {}
    for name, pid in parts.items():
        part = _part(name)
        spent[part] = spent.get(part, 0.0) + _cpu_s(pid) - before[name]
    return {part: figures.rounded(1e6 * seconds / done.completed) for part, seconds in spent.items() if seconds}


_PARTS = {"postgres": "PostgreSQL", "rabbitmq": "RabbitMQ", "redis": "Redis", "elasticsearch": "Elasticsearch"}


def _part(name: str) -> str:
    kind = name.partition("-")[0]
    return _PARTS.get(kind, kind)


def _cpu_s(pid: int) -> float:
    """Of a process and all below it, those that have ended included."""
    spent = 0.0
    for one in below(pid):
        try:
            with open(f"/proc/{one}/stat") as stat:
                fields = stat.read().rpartition(")")[2].split()
        except OSError:
            continue
        spent += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return spent
