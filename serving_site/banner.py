"""What the user sees: where the server is, who may log in, and three lines that work as pasted."""

from __future__ import annotations

import http.client
import json
import sys
import time
from collections.abc import Callable
from typing import Any

READY_PATIENCE_S = 60.0


def print_when_ready(env: Any, started: float, ended: Callable[[], bool]) -> None:
    """Wait until the server says it is ready, then print the banner; `started` is time.monotonic() at the start."""
    give_up = time.monotonic() + READY_PATIENCE_S
    while not ended():
        if is_ready(env):
            print(text(env.URL, credentials(env), time.monotonic() - started), flush=True)
            return
        if time.monotonic() > give_up:
            print(f"Still not ready after {READY_PATIENCE_S:.0f} s; {env.URL}/health/ready says why.", file=sys.stderr)
            return
        time.sleep(0.05)


def is_ready(env: Any) -> bool:
    # A name that the server answers to: of a list of patterns, the first that is a name.
    host = next((name for name in env.ALLOWED_HOSTS if not name.startswith((".", "*"))), "localhost")
    connection = http.client.HTTPConnection(env.LOCAL_HOST, env.PORT, timeout=2)
    try:
        connection.request("GET", "/health/ready", headers={"Host": host})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def credentials(env: Any) -> dict[str, Any] | None:
    """The demo credentials that preparing has left in the data folder, if it has."""
    try:
        return dict(json.loads((env.DATA_DIR / "credentials.json").read_text()))
    except (OSError, ValueError):
        return None


def text(url: str, known: dict[str, Any] | None, seconds: float) -> str:
    """The banner: address, logins, and the three calls."""
    lines = ["", f"Serving Blueprint is ready at {url} after {seconds:.1f} s. Ctrl-C stops it.", ""]
    if known is None:
        return "\n".join(lines)
    key = known["api_key"]
    lines += [
        f"  Admin     {url}/admin/   {known['admin']['user']} / {known['admin']['password']}",
        f"  API docs  {url}/api/docs",
        f"  API key   {key}   (project {known['project']})",
        "",
        "Answer now:",
        f"  {curl(url, key, '/v2/models/iris/infer', ONLINE)}",
        "",
        "Accept now, wait for the answer:",
        f"  {curl(url, key, '/v1/predictions', QUEUED, 'Prefer: wait')}",
        "",
        "Find the record of both:",
        f"  {curl(url, key, '/api/records?model=iris&limit=2')}",
        "",
    ]
    return "\n".join(lines)


ONLINE = {"inputs": [{"name": "input", "shape": [1, 4], "datatype": "FP64", "data": [5.1, 3.5, 1.4, 0.2]}]}
QUEUED = {"model": "iris", "input": {"instances": [[6.7, 3.0, 5.2, 2.3]]}}


def curl(url: str, key: str, path: str, body: object = None, header: str = "") -> str:
    """One line for a POSIX shell."""
    parts = [f"curl -s '{url}{path}' -H 'Authorization: Bearer {key}'"]
    if header:
        parts.append(f"-H '{header}'")
    if body is not None:
        parts.append(f"-H 'Content-Type: application/json' -d '{json.dumps(body)}'")
    return " ".join(parts)
