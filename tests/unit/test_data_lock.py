"""One server per data folder: the lock outlives whichever of its two processes was killed."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from serving_site.data_lock import DataFolderInUse, DataLock


def hold(folder: Path, *, then_fork: bool = False) -> tuple[int, int]:
    """A process that holds the lock, and (with `then_fork`) its child, which shares it; their ids."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        lock = DataLock(folder)
        lock.take()
        lock.tell(pid=os.getpid(), url="http://127.0.0.1:1")
        child = os.fork() if then_fork else -1
        if child:
            os.write(writing, f"{child}\n".encode())
        time.sleep(60)
        os._exit(0)
    child = int(os.read(reading, 20))
    os.close(reading)
    os.close(writing)
    return pid, child


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):  # a grandchild: its end is not ours to wait for
        os.waitpid(pid, 0)


def test_a_second_server_is_refused_at_once_and_told_who_runs(tmp_path: Path) -> None:
    holder, _ = hold(tmp_path)
    begun = time.monotonic()
    with pytest.raises(DataFolderInUse, match=rf"process {holder}, http://127.0.0.1:1"):
        DataLock(tmp_path).take()
    assert time.monotonic() - begun < 1
    kill(holder)


def test_the_lock_is_free_when_its_holder_was_killed(tmp_path: Path) -> None:
    holder, _ = hold(tmp_path)
    kill(holder)
    DataLock(tmp_path).take(patience=0)


def test_the_lock_is_held_while_the_child_of_a_killed_supervisor_lives(tmp_path: Path) -> None:
    holder, child = hold(tmp_path, then_fork=True)
    kill(holder)
    with pytest.raises(DataFolderInUse):
        DataLock(tmp_path).take(patience=0.1)
    kill(child)
    DataLock(tmp_path).take()


def test_a_start_waits_for_a_killed_servers_child_to_be_gone(tmp_path: Path) -> None:
    holder, child = hold(tmp_path, then_fork=True)
    kill(holder)
    if os.fork() == 0:
        time.sleep(0.5)
        os.kill(child, signal.SIGKILL)
        os._exit(0)
    DataLock(tmp_path).take(patience=10)


def test_who_holds_it_is_rewritten_whole(tmp_path: Path) -> None:
    lock = DataLock(tmp_path)
    lock.tell(pid=1, url="http://a-rather-long-address:12345")
    lock.tell(pid=2)
    assert lock.holder() == {"pid": 2}
