"""What many registered models cost and many in use: 1 and 50 used, of as many and of 1,000; memory bounded meanwhile.

`python -m tests.bench.growth` prints it; `run` gives the section. The servers stand on one core and wrk on another, one
server at a time while the others are frozen. `python -m tests.bench.growth seed COUNT` registers models in `DATA_DIR`.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

from tests.bench import works
from tests.bench.closed_loop import Load, parsed
from tests.bench.field import SETTLE_S, interleaved
from tests.bench.figures import loads_row
from tests.bench.launched import freeze, thaw
from tests.bench.machine import CLIENT_CORE, SERVER_CORE, WORKSHOP, on_core
from tests.bench.ours import fresh_folder
from tests.bench.plan import Plan, from_environment
from tests.bench.works import IRIS, model_file
from tests.running import ROOT, Server, clean_environment, prepared_folder

#: Models registered, and how many of them are called. Between the first and the last lie two steps: more registered,
#: and more in use, whose sessions and counters no longer fit into the core's own cache.
SIZES = ((1, 1), (1_000, 1), (50, 50), (1_000, 50))
#: Room for so many of them, which is fewer than are registered and more than are called.
ROOM = 100
CONNECTIONS = 16
#: What the cast's reports say a model takes: as publishing measures it for a graph of this size.
MODEL_OCTETS = 2**20

_SCRIPT = """local file = io.open(%(body)s, "rb"); local body = file:read("*a"); file:close()
local turn = 0
function request()
  turn = (turn + 1) %% %(used)d
  return wrk.format("POST", "/v2/models/grown-" .. turn .. "/infer", {["Authorization"] = %(key)s}, body)
end
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format('\\n{"requests":%%d,"micros":%%d,"refused":%%d,"broken":%%d,"p50":%%f,"p99":%%f}\\n',
    summary.requests, summary.duration, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
"""


class Grown:
    """One of our servers with so many registered models, at most `used` of them called before the end."""

    def __init__(self, registered: int, used: int) -> None:
        self.registered, self.used = registered, used
        folder = fresh_folder(f"grown-{registered}")
        shutil.copytree(prepared_folder(), folder, dirs_exist_ok=True)
        settings = {"MODEL_MEMORY_LIMIT": str(ROOM * MODEL_OCTETS), "BLOCKING_THREADS": "64", "ANONYMOUS_PROJECT": "-"}
        seed = [sys.executable, "-m", "tests.bench.growth", "seed", str(registered)]
        subprocess.run(seed, cwd=ROOT, env=clean_environment(folder, **settings), check=True, timeout=300)
        serve = on_core(SERVER_CORE, [sys.executable, str(ROOT / "manage.py"), "serve"])
        self.server = Server(folder, environment=settings, command=serve)

    def start(self) -> float:
        """Seconds until it is ready; every model in use has answered once afterwards."""
        took = self.server.start(limit=120)
        self.call_each(self.used)
        return took

    def call_each(self, count: int) -> None:
        for number in range(count):
            status, answer = self.server.post(f"/v2/models/grown-{number}/infer", _document())
            assert (status, answer["model_name"]) == (200, f"grown-{number}"), answer

    def measure(self, used: int, seconds: float) -> Load:
        """wrk on so many models, one after the other."""
        folder = WORKSHOP / "wrk"
        folder.mkdir(parents=True, exist_ok=True)
        body, script = folder / "grown", folder / "grown.lua"
        body.write_text(json.dumps(_document()))
        key = json.dumps(f"Bearer {self.server.key}")
        script.write_text(_SCRIPT % {"body": json.dumps(str(body)), "used": used, "key": key})
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "-s", str(script), self.server.url]
        done = subprocess.run(on_core(CLIENT_CORE, command), capture_output=True, text=True, check=True, timeout=120)
        return parsed(done.stdout)

    def memory(self) -> dict[str, float]:
        """Loaded versions, what they count for in MiB, and the process's resident MiB."""
        said = self.server.request("GET", "/metrics")[2].decode()
        lines = [line.rpartition(" ") for line in said.splitlines() if not line.startswith("#")]
        named = {name: float(value) for name, _, value in lines}
        counted = sum(value for name, value in named.items() if name.startswith("serving_model_memory_bytes"))
        return {
            "loaded": named["serving_loaded_models"],
            "counted_mib": round(counted / 2**20, 1),
            "resident_mib": round(named["process_resident_memory_bytes"] / 2**20, 1),
        }


def run(plan: Plan) -> dict[str, Any]:
    """The section: one row per size, and what the largest one's memory did when every model was called."""
    works.make()
    with ExitStack() as stack:
        servers, ready_s = {}, {}
        for registered in sorted({registered for registered, _ in SIZES}):
            grown = Grown(registered, max(used for size, used in SIZES if size == registered))
            ready_s[registered] = round(grown.start(), 1)
            stack.callback(grown.server.stop)
            stack.callback(thaw, grown.server.supervisor)
            servers[registered] = grown
        pieces = [(size, partial(_alone, servers, *size, plan.seconds)) for size in SIZES]
        found = interleaved(plan.rounds, pieces)
        memory = {registered: _woken(grown) for registered, grown in servers.items()}
        rows = [
            loads_row(loads, registered=registered, used=used, ready_s=ready_s[registered], memory=memory[registered])
            for (registered, used), loads in found.items()
        ]
        largest = servers[SIZES[-1][0]]
        began = time.monotonic()
        for _ in range(2):
            largest.call_each(largest.registered)
        every = {"calls": 2 * largest.registered, "seconds": round(time.monotonic() - began, 1), **largest.memory()}
    return {"rounds": plan.rounds, "room": ROOM, "rows": rows, "every_model_called": every, "slower": _slower(found)}


def _alone(servers: Mapping[int, Grown], registered: int, used: int, seconds: float) -> Load:
    for grown in servers.values():
        (thaw if grown.registered == registered else freeze)(grown.server.supervisor)
    time.sleep(SETTLE_S)
    return servers[registered].measure(used, seconds)


def _woken(grown: Grown) -> dict[str, float]:
    thaw(grown.server.supervisor)
    return grown.memory()


def _slower(found: Mapping[tuple[int, int], list[Load]]) -> dict[str, float]:
    """Per cent by which the median of the rounds' ratios is slower with all registered than with the fewest."""
    few, many = found[SIZES[0]], found[SIZES[-1]]

    def per_cent(figure: str) -> float:
        ratios: list[float] = [
            getattr(one, figure) / getattr(other, figure) for one, other in zip(many, few, strict=True)
        ]
        return round(100 * (statistics.median(ratios) - 1), 1)

    return {"p50": per_cent("p50_ms"), "p99": per_cent("p99_ms")}


def _document() -> dict[str, Any]:
    return {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": IRIS.values[0]}]}


def seed(count: int) -> None:
    """Register `grown-0` and so on in the project of the demo with the graph that publishing gives, without publishing
    each: they are all alike."""
    import django

    django.setup()
    from django.utils import timezone

    from models_registry import artifacts
    from models_registry.models import Alias, ModelVersion, Project, RegisteredModel, RegistryRevision
    from models_registry.publishing import folding
    from models_registry.runtime.signature import Signature, TensorSpec

    columns, classes = works.SHAPES["iris"]
    signature = Signature(
        (TensorSpec("x", "FP32", (-1, columns)),), (TensorSpec("probabilities", "FP32", (-1, classes)),)
    )
    artefact = model_file("iris").read_bytes()
    digest, size = artifacts.put(artefact)
    served_digest, _ = artifacts.put(folding.fold(artefact) or artefact)
    report = {"row_cost_s": [1e-5, 2e-5, 1e-4], "memory_bytes": MODEL_OCTETS}
    project = Project.objects.get(name="demo")
    models = [RegisteredModel(project=project, name=f"grown-{number}") for number in range(count)]
    models = RegisteredModel.objects.bulk_create(models)
    same = {"digest": digest, "served_digest": served_digest, "configuration_digest": "0" * 64, "size_bytes": size}
    same |= {"format": "onnx", "runtime": "onnx", "status": "ready", "signature": signature.to_json(), "report": report}
    versions = [ModelVersion(model=model, number=1, ready_at=timezone.now(), **same) for model in models]
    ModelVersion.objects.bulk_create(versions)
    Alias.objects.bulk_create([Alias(model=one.model, name="champion", version=one) for one in versions])
    RegistryRevision.bump()


if __name__ == "__main__":
    if sys.argv[1:2] == ["seed"]:
        import os

        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "serving_site.settings")
        seed(int(sys.argv[2]))
    else:
        print(json.dumps(run(from_environment()), indent=1))
