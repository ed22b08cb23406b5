"""Is the process of this container alive? `python -m serving_site.alive` exits with 0 or 1; the image's health check.

It finds out what it looks at from the environment of process 1, and imports nothing but the standard library. Alive is
not ready: a dependency that is away must not get its clients restarted.
"""

from __future__ import annotations

import http.client
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

TIMEOUT_S = 2.0
#: A worker touches its file every 5 s.
STALE_S = 60.0


def is_alive(environment: Mapping[str, str]) -> bool:
    """`environment` is the process': web is asked, of a worker the file it touches is read, beat only has to run."""
    role = environment.get("SERVING_ROLE", "")
    if role == "web":
        return answers(int(environment.get("PORT") or 8000), "/health/live")
    if role == "worker":
        return is_fresh(Path(environment.get("LIVENESS_FILE", "")))
    if role == "keeper":
        return answers(int(environment.get("METRICS_PORT") or 0), "/metrics")
    return role == "beat"


def answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def is_fresh(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime < STALE_S
    except OSError:
        return False


def environment_of(pid: int) -> dict[str, str]:
    """What a process was started with. Raises OSError where that may not be read."""
    entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return dict(os.fsdecode(entry).split("=", 1) for entry in entries if b"=" in entry)


if __name__ == "__main__":
    sys.exit(0 if is_alive(environment_of(1)) else 1)
