"""What a stack that was killed left running is known again and ended; nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from serving_site import env
from serving_site.data_lock import DataLock
from serving_site.stack import abandoned

#: Says a line once it takes no notice of SIGTERM.
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"


@contextmanager
def left_of(root: Path, monkeypatch: pytest.MonkeyPatch, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process as a stack on this folder starts it."""
    monkeypatch.setenv("STACK_OF", "")  # put back at the end
    abandoned.mark(root)
    with subprocess.Popen(command or ["sleep", "60"], stdout=subprocess.PIPE) as process:
        monkeypatch.delenv("STACK_OF")
        yield process
        process.kill()


def test_what_still_runs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with left_of(tmp_path, monkeypatch) as left:
        assert abandoned.end(tmp_path) == 1
        assert left.wait(5) == -15
    assert abandoned.end(tmp_path) == 0


def test_what_does_not_end_by_itself_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(abandoned, "PATIENCE_S", 0.2)
    with left_of(tmp_path, monkeypatch, sys.executable, "-c", STUBBORN) as left:
        assert left.stdout is not None
        left.stdout.readline()
        abandoned.end(tmp_path)
        assert left.wait(5) == -9


def test_what_belongs_to_another_folder_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with left_of(tmp_path / "stack2", monkeypatch) as left:
        assert abandoned.end(tmp_path / "stack") == 0
        assert left.poll() is None


def test_a_second_stack_on_one_folder_is_refused_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(env, "DATA_DIR", tmp_path)
    lock = DataLock(tmp_path / "stack")
    lock.take()
    lock.tell(pid=os.getpid(), url="http://127.0.0.1:8000")
    with left_of(tmp_path / "stack", monkeypatch) as left:
        with pytest.raises(CommandError, match=r"already runs on .*stack.*http://127\.0\.0\.1:8000"):
            call_command("stack")
        assert left.poll() is None
