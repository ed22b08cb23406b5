"""What this process started and has not ended by its own end is killed then, and nothing else is.

mirakuru kills at exit every process whose mark, `<process id>:<random hexadecimal digits>`, *contains* the id of the
process that leaves: 843 takes the servers of 8431 and of 1843 with it, and whatever has 843 among its random digits.
So its sweep is taken out, and what it is for is done here by what was really started.
"""

from __future__ import annotations

import atexit
import os
from weakref import WeakSet

from mirakuru import SimpleExecutor
from mirakuru.base import cleanup_subprocesses

_begun: WeakSet[SimpleExecutor] = WeakSet()


def begin(executor: SimpleExecutor) -> None:
    """Start it; from then on it ends with this process at the latest. Raises what `executor.start` raises."""
    _begun.add(executor)
    executor.start()


def _end() -> None:
    for executor in list(_begun):
        if executor.process is not None:
            executor.kill(wait=False)


def _disown() -> None:
    """A forked child owes its parent's servers nothing, and an executor kills what it knows when it is dropped."""
    for executor in list(_begun):
        executor.process = None
    _begun.clear()


atexit.unregister(cleanup_subprocesses)
atexit.register(_end)
os.register_at_fork(after_in_child=_disown)
