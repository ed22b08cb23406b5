"""`make bench`: measure section by section, keep each as soon as it is done, then write charts and README's page.

QUICK=1 leaves out the peers and README; ONLY=online,queued does some sections, AMONG=ours,triton-onnx some of the
online servers; ROUNDS and SECONDS change the windows.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.bench import figures, growth, machine, page, programs, works
from tests.bench.contenders import Contender
from tests.bench.field import Field
from tests.bench.ours import Ours
from tests.bench.peers import everybody
from tests.bench.plan import KEPT, Plan, from_environment
from tests.bench.sections import connections, embedded, latency, ledger, online, profiles, scale, searches, services

#: Sections that share the servers of `Field`, those that share one stack, and those that start what they need.
TOGETHER = ("online", "latency")
SERVICES = {
    "queued": services.run_queued,
    "processes": services.run_processes,
    "records": services.run_records,
    "ledger": ledger.run,
}
APART: dict[str, Callable[[Plan], dict[str, Any]]] = {
    "embedded": embedded.run,
    "connections": connections.run,
    "growth": growth.run,
    "scale": scale.run,
    "searches": searches.run,
    "profiles": profiles.run,
}
ALL = (*TOGETHER, *SERVICES, *APART)


def main() -> int:
    # A run that is told to end stops the servers it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    plan = from_environment()
    unknown = [name for name in plan.only if name not in ALL]
    if unknown:
        print(f"No such section: {', '.join(unknown)}; there are {', '.join(ALL)}.", file=sys.stderr)
        return 2
    begun = time.monotonic()
    print(f"{machine.facts()}\nload {machine.load():.1f}, {plan}", flush=True)
    programs.ensure_debian("wrk", "wrk")
    works.make()
    done = [*_together(plan), *_services(plan), *_apart(plan)]
    print(page.text(plan.folder), flush=True)
    if plan.folder == KEPT:
        page.write(KEPT)
    print(f"{time.monotonic() - begun:.0f} s in all", flush=True)
    return 0 if all(done) else 1


def _together(plan: Plan) -> list[bool]:
    if not any(plan.wants(name) for name in TOGETHER):
        return []
    contenders: list[Contender] = [Ours(), Ours(without="monitoring"), Ours(without="records")]
    if plan.peers:
        contenders += everybody()
    contenders = [one for one in contenders if not plan.among or one.name in plan.among]
    print("— starting", flush=True)
    done = []
    with Field(contenders, online.WORKS) as field:
        if plan.wants("online"):
            done.append(_section(plan, "online", lambda: online.run(plan, field)))
        if plan.wants("latency"):
            rates = figures.read(plan.folder, "online")
            done.append(_section(plan, "latency", lambda: latency.run(plan, field, rates)))
    return done


def _services(plan: Plan) -> list[bool]:
    wanted = [name for name in SERVICES if plan.wants(name)]
    if not wanted:
        return []
    print("— starting PostgreSQL, RabbitMQ, Redis, Elasticsearch and our processes", flush=True)
    try:
        with services.started() as stack:
            return [_section(plan, name, partial(SERVICES[name], plan, stack)) for name in wanted]
    except Exception as error:
        print(f"  left out, the stack broke: {type(error).__name__}: {error}"[:2000], file=sys.stderr, flush=True)
        return [False]


def _apart(plan: Plan) -> list[bool]:
    wanted = {name: run for name, run in APART.items() if plan.wants(name)}
    return [_section(plan, name, partial(run, plan)) for name, run in wanted.items()]


def _section(plan: Plan, name: str, run: Callable[[], dict[str, Any]]) -> bool:
    """Run one and keep what it found; a section that breaks leaves the others' results alone."""
    print(f"— {name}", flush=True)
    begun = time.monotonic()
    try:
        document = run()
    except Exception as error:
        said = getattr(error, "stderr", None) or ""
        print(f"  {name} broke: {type(error).__name__}: {error} {said[-1000:]}", file=sys.stderr, flush=True)
        return False
    figures.write(plan.folder, name, document, took_s=time.monotonic() - begun)
    print(f"  {time.monotonic() - begun:.0f} s", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
