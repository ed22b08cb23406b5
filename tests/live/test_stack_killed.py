"""What is left of a killed stack is found and ended, whatever its servers make of their environment."""

from __future__ import annotations

from pathlib import Path

from serving_site.stack import abandoned, install
from tests.running import clean_environment, run_program
from tests.services import lives

#: Starts the two servers that write over their own memory, and is killed.
KILLED = """
import os, signal
from pathlib import Path
from serving_site.stack import abandoned, postgres, redis
if __name__ == "__main__":
    root = Path(os.environ["DATA_DIR"])
    abandoned.mark(root)
    started = [postgres.start(root), redis.start(root, name="redis-cache", policy="noeviction")]
    print(*(server.pid for server in started), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_servers_of_a_stack_that_was_killed_are_ended(tmp_path: Path) -> None:
    install.ensure("PostgreSQL", "Redis")
    said = run_program(KILLED, clean_environment(tmp_path))
    pids = [int(pid) for pid in said.stdout.split()]
    assert len(pids) == 2, said.stderr
    assert abandoned.end(tmp_path) >= 2
    assert not [pid for pid in pids if lives(pid)]
