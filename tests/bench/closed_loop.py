"""wrk: as many calls as a fixed number of connections can make, each waiting for its answer."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass

from tests.bench.contenders import Call
from tests.bench.machine import CLIENT_CORE, WORKSHOP, on_core

_SCRIPT = """wrk.method = "POST"
local file = io.open(%(body)s, "rb"); wrk.body = file:read("*a"); file:close()
%(headers)s
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format('\\n{"requests":%%d,"micros":%%d,"refused":%%d,"broken":%%d,"p50":%%f,"p99":%%f}\\n',
    summary.requests, summary.duration, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
"""


@dataclass(frozen=True)
class Load:
    """What one window of load did: answered with success per second, refused or broken calls, milliseconds."""

    rate: float
    refused: int
    broken: int
    p50_ms: float
    p99_ms: float
    answered: int
    seconds: float


def load(call: Call, *, connections: int, seconds: float, core: int | None = CLIENT_CORE, threads: int = 1) -> Load:
    """Load a server for so long from the client's core. One that does not even listen has broken one call."""
    folder = WORKSHOP / "wrk"
    folder.mkdir(parents=True, exist_ok=True)
    body, script = folder / "body", folder / "call.lua"
    body.write_bytes(call.body)
    headers = "\n".join(
        f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in call.headers.items()
    )
    script.write_text(_SCRIPT % {"body": json.dumps(str(body)), "headers": headers})
    command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"]
    done = subprocess.run(
        on_core(core, [*command, "-s", str(script), call.url]), capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode:
        return Load(rate=0, refused=0, broken=1, p50_ms=0, p99_ms=0, answered=0, seconds=seconds)
    return parsed(done.stdout)


def parsed(said: str) -> Load:
    """What wrk's script said at its end; a refused call (status 400 and above) counts as not done."""
    found = json.loads(next(line for line in said.splitlines() if line.startswith("{")))
    seconds = found["micros"] / 1e6
    answered = found["requests"] - found["refused"]
    return Load(
        rate=answered / seconds,
        refused=found["refused"],
        broken=found["broken"],
        p50_ms=found["p50"],
        p99_ms=found["p99"],
        answered=answered,
        seconds=seconds,
    )
