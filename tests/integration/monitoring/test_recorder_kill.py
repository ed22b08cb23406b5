"""kill -9 of a process that answers and records at once: every acknowledged call has one record afterwards."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

SERVER = """
    import sys, time
    import django
    django.setup()
    import monitoring
    from monitoring import records, spooling
    from monitoring.ids import mint
    for thread in [*monitoring.recording_apart(), *spooling.background()]:
        thread.start()
    for _ in range(int(sys.argv[1])):
        identifier = mint()
        call = records.SpooledCall(
            id=identifier.bytes, project="demo", model="iris", version=1, version_id=identifier.bytes, digest="ab",
            route="version 1", protocol="oip", status="succeeded", accepted_at=time.time(), total_s=0.001)
        spooling.append(records.encode_call(call))
        print(identifier.hex, flush=True)
        time.sleep(0.0005)
    deadline = time.monotonic() + 20
    while spooling.waiting().calls and time.monotonic() < deadline:
        time.sleep(0.05)
"""


def environment(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "DATA_DIR": str(folder),
        "DJANGO_SETTINGS_MODULE": "serving_site.settings",
        "PYTHONPATH": str(ROOT),
    }


def start(folder: Path, calls: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", textwrap.dedent(SERVER), str(calls)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=environment(folder))


def ids(output: str) -> list[str]:
    """What was acknowledged; the recorder's process writes its log beside it."""
    return [line for line in output.splitlines() if len(line) == 32]


def test_kill_nine_between_any_two_steps_loses_and_doubles_no_record(tmp_path):
    dice = random.Random(7)
    migrate = [sys.executable, "manage.py", "migrate", "-v0"]
    subprocess.run(migrate, check=True, cwd=ROOT, env=environment(tmp_path))
    acknowledged: list[str] = []
    for _ in range(2):
        process = start(tmp_path, 100_000)
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(dice.uniform(0.3, 1.2))
        process.send_signal(signal.SIGKILL)
        acknowledged += ids((first + process.stdout.read()).decode().rpartition("\n")[0])
        process.wait()
        process.stdout.close()
    last = start(tmp_path, 10)
    output, _ = last.communicate(timeout=60)
    acknowledged += ids(output.decode())
    with sqlite3.connect(tmp_path / "serving.sqlite3") as database:
        stored = [row[0] for row in database.execute("SELECT id FROM monitoring_recordrow")]
    database.close()
    assert len(acknowledged) > 200
    assert set(acknowledged) <= set(stored)
    # A call may be in the spool without having been acknowledged: at most one per kill.
    assert len(stored) <= len(acknowledged) + 2
