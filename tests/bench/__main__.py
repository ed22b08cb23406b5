"""`make bench`: measure section by section, keep each as soon as it is done, then write charts and README's page.

QUICK=1 leaves out the peers and README; ONLY=online,queued does some sections; ROUNDS and SECONDS change the windows.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from tests.bench import machine, page, programs, results, works
from tests.bench.contenders import Contender
from tests.bench.field import Field
from tests.bench.ours import Ours
from tests.bench.peers import everybody
from tests.bench.plan import KEPT, Plan, from_environment
from tests.bench.sections import latency, online

#: Sections that share the servers of `Field`, then the others, each starting what it needs.
TOGETHER = ("online", "latency")
APART: dict[str, Callable[[Plan], dict[str, Any]]] = {}


def main() -> int:
    plan = from_environment()
    unknown = [name for name in plan.only if name not in {*TOGETHER, *APART}]
    if unknown:
        print(f"No such section: {', '.join(unknown)}; there are {', '.join([*TOGETHER, *APART])}.", file=sys.stderr)
        return 2
    begun = time.monotonic()
    print(f"{machine.facts()}\nload {machine.load():.1f}, {plan}", flush=True)
    programs.ensure_debian("wrk", "wrk")
    works.make()
    failed = 0
    if any(plan.wants(name) for name in TOGETHER):
        _together(plan)
    for name, run in APART.items():
        if plan.wants(name):
            failed += not _section(plan, name, lambda run=run: run(plan))  # type: ignore[misc]
    print(page.text(plan.folder), flush=True)
    if plan.folder == KEPT:
        page.write(KEPT)
    print(f"{time.monotonic() - begun:.0f} s in all", flush=True)
    return 1 if failed else 0


def _together(plan: Plan) -> None:
    contenders: list[Contender] = [Ours(), Ours(without="metrics"), Ours(without="records")]
    if plan.peers:
        contenders += everybody()
    print("— starting", flush=True)
    with Field(contenders, online.WORKS) as field:
        if plan.wants("online"):
            _section(plan, "online", lambda: online.run(plan, field))
        if plan.wants("latency"):
            _section(plan, "latency", lambda: latency.run(plan, field, results.read(plan.folder, "online")))


def _section(plan: Plan, name: str, run: Callable[[], dict[str, Any]]) -> bool:
    """Run one and keep what it found; a section that breaks leaves the others' results alone."""
    print(f"— {name}", flush=True)
    begun = time.monotonic()
    try:
        document = run()
    except Exception as error:
        print(f"  {name} broke: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return False
    results.write(plan.folder, name, document, took_s=time.monotonic() - begun)
    print(f"  {time.monotonic() - begun:.0f} s", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
