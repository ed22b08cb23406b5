"""Out of a proxy's rotation before the end: for LEAVE_S `/health/ready` says no, while requests are still taken.

A request that is sent to a server just as it closes its door has failed for its client: what was sent is never sent
again. So the proxy hears of the end before, from its own health check, and the door closes when nobody comes any more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from serving_site import env


def mark() -> Path:
    """The file by which the processes of a server know that it leaves."""
    return env.DATA_DIR / f"leaving-{env.PORT}"


def begin(then: Callable[[], None]) -> None:
    """Say so from now on, and call `then` after LEAVE_S."""
    mark().touch()
    timer = threading.Timer(env.LEAVE_S, then)
    timer.daemon = True
    timer.start()


def is_leaving() -> bool:
    return env.LEAVE_S > 0 and mark().exists()


def clear() -> None:
    """What a server before this one has left."""
    mark().unlink(missing_ok=True)
