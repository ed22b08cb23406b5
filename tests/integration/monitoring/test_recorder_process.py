"""The recorder in a process of its own: what it stores, what its server shows of it, and what its death changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from monitoring import idle_time
from tests.running import clean_environment, run_program

pytestmark = pytest.mark.skipif(not idle_time.exists(), reason="the system has no class for idle time")

PROGRAM = """
import json, os, signal, sys, time
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
import monitoring
from monitoring import metrics, records, spooling
from monitoring.background import beats, fresh_connection
from monitoring.ids import mint

def call():
    identifier = mint()
    spooling.append(records.encode_call(records.SpooledCall(
        id=identifier.bytes, project="demo", model="iris", version=1, version_id=identifier.bytes, digest="ab",
        route="version 1", protocol="oip", status="succeeded", accepted_at=time.time(), total_s=0.001)))

def until(holds):
    end = time.monotonic() + 20
    while not holds() and time.monotonic() < end:
        time.sleep(0.02)
    return bool(holds())

def written():
    return metrics.value(metrics.RECORDS, ("written",))

(recorder,) = monitoring.recording_apart()
{before}
recorder.start()
said = {{}}
{after}
recorder.stop(10)
spooling.close()
print("said", json.dumps(said))
"""


def said(folder: Path, after: str, before: str = "") -> dict[str, Any]:
    ended = run_program(PROGRAM.format(before=before, after=after), clean_environment(folder))
    assert ended.returncode == 0, ended.stderr
    line = next(line for line in ended.stdout.splitlines() if line.startswith("said "))
    return dict(json.loads(line.removeprefix("said ")))


def test_its_server_counts_what_it_has_stored(tmp_path: Path) -> None:
    found = said(
        tmp_path,
        """
for _ in range(120):
    call()
said["counted"] = until(lambda: written() == 120)
said["own"] = recorder.pid not in (0, os.getpid())
said["beats"] = "recorder" in beats()
said["waiting"] = spooling.waiting().calls
""",
    )
    assert found == {"counted": True, "own": True, "beats": True, "waiting": 0}


def test_when_it_dies_a_thread_of_its_server_goes_on(tmp_path: Path) -> None:
    found = said(
        tmp_path,
        """
os.kill(recorder.pid, signal.SIGKILL)
for _ in range(30):
    call()
said["stored"] = until(lambda: written() == 30)
said["waiting"] = until(lambda: spooling.waiting().calls == 0)
""",
    )
    assert found == {"stored": True, "waiting": True}


def test_it_is_not_forked_from_a_process_that_has_a_database_open(tmp_path: Path) -> None:
    before = """
import threading
from django.db import connection
is_open, may_end = threading.Event(), threading.Event()
def hold():
    connection.ensure_connection()
    is_open.set()
    may_end.wait(60)
    connection.close()
threading.Thread(target=hold).start()
is_open.wait(20)
"""
    found = said(
        tmp_path,
        """
call()
said["stored"] = until(lambda: written() == 1)
said["own"] = recorder.pid != 0
may_end.set()
""",
        before,
    )
    assert found == {"stored": True, "own": False}


def test_it_ends_with_its_server_and_counts_to_the_last(tmp_path: Path) -> None:
    found = said(
        tmp_path,
        """
for _ in range(10):
    call()
until(lambda: spooling.waiting().calls == 0)
recorder.stop(10)
said["counted"] = written()
try:
    os.kill(recorder.pid, 0)
except ProcessLookupError:
    said["gone"] = True
""",
    )
    assert found == {"counted": 10, "gone": True}
