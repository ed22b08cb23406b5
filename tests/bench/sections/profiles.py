"""Where the time goes: py-spy looks at the server while it is loaded; kept as a flame graph and as a table."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import charts, closed_loop, programs, queued
from tests.bench.contenders import Call
from tests.bench.machine import CLIENT_CORE, WORKSHOP, on_core
from tests.bench.ours import Ours, fresh_folder
from tests.bench.plan import Plan
from tests.bench.works import IRIS, WIDE

SECONDS = 8
HERTZ = 100
#: Threads of the profiled server: each look stops all of them.
THREADS = 40
#: Innermost functions that wait; py-spy takes some of them for work.
_WAITS = re.compile(
    r"^(wait|wait_for|_wait|sleep|select|poll|accept|_worker|get|_run|_follow|_serve_and_drain|join|drain_events) \("
)
_IDLE = re.compile(r"\(threading\.py|\(selectors\.py|_spawn_wsgi_worker|\(concurrent/futures/|_end_when_quiet|_follow ")
_APPLICATION = "application (serving_site/wsgi.py"
TOP = 18

Stacks = Counter[tuple[str, ...]]


@dataclass(frozen=True)
class Profile:
    """Stacks of one process, outermost function first, with the number of looks that saw them."""

    name: str
    stacks: Stacks

    def top(self, count: int = TOP) -> list[dict[str, Any]]:
        """Per function: per cent of all looks within it (`total`) and in its own lines (`own`)."""
        everything = sum(self.stacks.values()) or 1
        total, own = Counter[str](), Counter[str]()
        for stack, seen in self.stacks.items():
            own[stack[-1]] += seen
            for function in dict.fromkeys(stack):
                total[function] += seen
        return [
            {
                "function": function,
                "total": round(100 * seen / everything, 1),
                "own": round(100 * own[function] / everything, 1),
            }
            for function, seen in total.most_common(count)
        ]


def run(plan: Plan) -> dict[str, Any]:
    found = []
    server = Ours(models=("iris", "wide"), threads=THREADS)
    server.start()
    try:
        assert server.server is not None
        pid = server.server.worker
        for name, work in (("online, one row", IRIS), ("online, 1,000 rows of JSON", WIDE)):
            found.append(_look(name, pid, server.call(work), connections=16, core=CLIENT_CORE))
    finally:
        server.stop()
    with queued.started("embedded", fresh_folder("profiled"), clients=64) as embedded:
        queued.allow_many(embedded)
        call = _submission(embedded.url, embedded.key)
        found.append(_look("queued, embedded", embedded.worker, call, connections=64, core=None))
    for profile in found:
        charts.write(plan.folder / f"{_slug(profile.name)}.svg", charts.flame(profile.name, profile.stacks))
    return {
        "seconds": SECONDS,
        "hertz": HERTZ,
        "rows": [
            {"profile": profile.name, "file": f"{_slug(profile.name)}.svg", "top": profile.top()} for profile in found
        ],
    }


def _submission(url: str, key: str) -> Call:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    return Call(f"{url}/v1/predictions", headers, queued.BODY.encode(), lambda body, _: body)


def _look(name: str, pid: int, call: Call, *, connections: int, core: int | None) -> Profile:
    """Load the server and look at it meanwhile."""
    spy = programs.environment("tools") / "bin" / "py-spy"
    out = WORKSHOP / "logs" / "profile.raw"
    out.unlink(missing_ok=True)
    load = threading.Thread(
        target=lambda: closed_loop.load(call, connections=connections, seconds=SECONDS + 3, core=core)
    )
    load.start()
    command = [
        str(spy),
        "record",
        "-p",
        str(pid),
        "-d",
        str(SECONDS),
        "-r",
        str(HERTZ),
        "-f",
        "raw",
        "-F",
        "--nonblocking",
    ]
    with subprocess.Popen(
        on_core(core, [*command, "-o", str(out)]), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as looking:
        try:
            looking.wait(SECONDS + 4)
        except subprocess.TimeoutExpired:
            # On a busy machine it falls behind its own pace; it writes what it has.
            looking.send_signal(signal.SIGINT)
    load.join()
    if not out.exists():
        raise RuntimeError(f"py-spy made nothing of process {pid}")
    stacks = parsed(out)
    print(f"  {name}: {sum(stacks.values())} looks at work", flush=True)
    return Profile(name, stacks)


def parsed(path: Path) -> Stacks:
    """Folded stacks without what only waits, and of a request only what is within the application."""
    stacks: Stacks = Counter()
    for line in path.read_text().splitlines():
        folded, _, seen = line.rpartition(" ")
        frames = folded.split(";")
        inner = frames[-1]
        if not folded or _IDLE.search(inner) or _WAITS.search(inner):
            continue
        at = next((place for place, frame in enumerate(frames) if frame.startswith(_APPLICATION)), None)
        if at is not None:
            frames = frames[at:]
        elif any("threading.py" in frame for frame in frames):
            frames = ["threads of our own", *[frame for frame in frames if "threading.py" not in frame][-12:]]
        stacks[tuple(frames)] += int(seen)
    return stacks


def _slug(name: str) -> str:
    return "profile-" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
