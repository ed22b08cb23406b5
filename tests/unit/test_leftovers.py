"""A process that leaves takes with it what it started, and no server of another process."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from tests.running import clean_environment, run_program
from tests.services import lives

#: Another's server, whose mark happens to hold the process id of who leaves; its own id is printed.
OF_ANOTHER = """
import os, subprocess
from serving_site.stack import leftovers
mark, silent = {**os.environ, "mirakuru_uuid": f"9{os.getpid()}9:c0ffee"}, subprocess.DEVNULL
print(subprocess.Popen(["sleep", "60"], env=mark, stdout=silent, stderr=silent).pid)
"""
#: Held by what the interpreter's end does not clear: dropped, an executor ends its process by itself.
OWN = """
import ctypes
from mirakuru import SimpleExecutor
from serving_site.stack import leftovers
executor = SimpleExecutor(["sleep", "60"])
leftovers.begin(executor)
ctypes.pythonapi.Py_IncRef(ctypes.py_object(executor))
print(executor.process.pid)
"""
#: A forked child leaves as a program does, by way of what is registered for the exit.
FORKED = (
    OWN
    + """
import os, sys
sys.stdout.flush()
if os.fork() == 0:
    sys.exit()
os.wait()
with open(f"/proc/{executor.process.pid}/stat") as stat:
    print(stat.read().rpartition(")")[2].split()[0])
"""
)


def test_a_server_of_another_process_stays_whatever_its_mark_holds(tmp_path):
    pid = int(_said(OF_ANOTHER, tmp_path)[0])
    try:
        time.sleep(0.2)
        assert lives(pid)
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_what_was_not_stopped_ends_with_the_process(tmp_path):
    pid = int(_said(OWN, tmp_path)[0])
    end = time.monotonic() + 5
    while lives(pid):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_forked_child_leaves_the_servers_of_its_parent_alone(tmp_path):
    assert _said(FORKED, tmp_path)[1] == "S"


def _said(program: str, folder: Path) -> list[str]:
    ended = run_program(program, clean_environment(folder))
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.split()
