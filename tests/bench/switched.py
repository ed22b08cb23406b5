"""`python -m tests.bench.switched records`: the real server with its records off, to see what they cost.

No setting of the product switches them off (monitoring has MONITORING); this exists in the test tree alone, and only
rows that say so use it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from serving_site import supervisor


def records() -> None:
    """No record is made or spooled."""
    from predictions.online import recording

    _silence(recording, "keep")


SWITCHED_OFF: dict[str, Callable[[], None]] = {"records": records}


def _silence(module: Any, *names: str) -> None:
    for name in names:
        getattr(module, name)  # an AttributeError here says that the path has changed
        setattr(module, name, _nothing)


def _nothing(*args: Any, **options: Any) -> None:
    return None


def main() -> None:
    what = sys.argv[1]
    if os.environ.get("SERVING_ROLE") != "web":
        environment = {**os.environ, **supervisor.PROCESS_ENVIRONMENT}
        os.execve(sys.executable, [sys.executable, "-m", "tests.bench.switched", what], environment)

    def load() -> supervisor.Application:
        application = supervisor.load_application()
        SWITCHED_OFF[what]()
        return application

    sys.exit(supervisor.serve(load))


if __name__ == "__main__":
    main()
