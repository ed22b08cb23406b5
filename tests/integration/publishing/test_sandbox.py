"""A child that hangs, crashes, grabs memory or looks around: the caller gets an error, and the next call an answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from models_registry import errors
from models_registry.runtime.sandbox import Limits, Sandbox
from tests.integration.publishing import children

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    os.environ["SECRET_FOR_THE_TEST"] = "canary-4711"
    sandbox = Sandbox(Limits(memory_bytes=1 << 30))
    yield sandbox
    sandbox.close()
    del os.environ["SECRET_FOR_THE_TEST"]


def test_a_value_comes_back_and_the_child_stays(sandbox: Sandbox) -> None:
    assert sandbox.call(children.double, 21, timeout=20) == 42
    assert sandbox.call(children.process, timeout=20) == sandbox.call(children.process, timeout=20) != os.getpid()


@pytest.mark.parametrize(
    ("function", "kind", "words"),
    [
        (children.refuse, errors.FormatNotAllowed, "not this one"),
        (children.fail, errors.ModelRaised, "ValueError: two words"),
        (children.exit_at_once, errors.ProcessCrashed, "exit code 7"),
        (children.segfault, errors.ProcessCrashed, "SIGSEGV"),
        (children.take_memory, errors.ResourceExhausted, "more memory"),
        (children.unpicklable, errors.DomainError, "process|pickle"),
        (children.unpicklable_generator, errors.ModelRaised, "cannot pickle 'generator' object"),
    ],
)
def test_every_end_is_an_error_and_the_next_call_is_answered(
    sandbox: Sandbox, function: object, kind: type[errors.DomainError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        sandbox.call(function, timeout=20)
    assert sandbox.call(children.double, 1, timeout=20) == 2


@pytest.mark.parametrize(("function", "args"), [(children.sleep, (3600,)), (children.spin_in_c, ())])
def test_a_call_past_its_time_is_killed(sandbox: Sandbox, function: object, args: tuple[float, ...]) -> None:
    child = sandbox.call(children.process, timeout=20)
    started = time.monotonic()
    with pytest.raises(errors.PredictionTimeout):
        sandbox.call(function, *args, timeout=0.3)
    assert time.monotonic() - started < 3
    assert not Path(f"/proc/{child}").exists()
    assert sandbox.call(children.double, 1, timeout=20) == 2


def test_a_child_killed_while_idle_is_replaced(sandbox: Sandbox) -> None:
    child = sandbox.call(children.process, timeout=20)
    os.kill(child, signal.SIGKILL)
    time.sleep(0.5)
    assert sandbox.call(children.process, timeout=20) != child


def test_the_child_sees_no_environment(sandbox: Sandbox) -> None:
    known, block = sandbox.call(children.environment, timeout=20)
    assert "SECRET_FOR_THE_TEST" not in known
    assert b"canary-4711" not in block


def test_the_child_is_limited_and_writes_no_file(sandbox: Sandbox, tmp_path: Path) -> None:
    assert sandbox.call(children.limits, timeout=20) == {"RLIMIT_AS": 1 << 30, "RLIMIT_FSIZE": 0}
    with pytest.raises(errors.ModelRaised, match="File too large"):
        sandbox.call(children.write, str(tmp_path / "file"), timeout=20)


def test_a_child_that_used_up_its_cpu_time_is_ended() -> None:
    sandbox = Sandbox(Limits(memory_bytes=1 << 30, cpu_s=1))
    try:
        with pytest.raises(errors.PredictionTimeout, match="CPU"):
            sandbox.call(children.spin_in_c, timeout=20)
    finally:
        sandbox.close()


def test_calls_of_eight_threads_take_turns(sandbox: Sandbox) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: sandbox.call(children.double, number, timeout=30), range(64)))
    assert answers == [2 * number for number in range(64)]


def test_a_caller_that_gets_no_turn_is_told_to_come_back(sandbox: Sandbox) -> None:
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(sandbox.call, children.sleep, 1.0, timeout=20)
        time.sleep(0.3)
        with pytest.raises(errors.Unavailable):
            sandbox.call(children.double, 1, timeout=0.1)
        busy.result()


def test_a_closed_sandbox_answers_with_an_error_and_leaves_no_child() -> None:
    sandbox = Sandbox(Limits(memory_bytes=1 << 30))
    child = sandbox.call(children.process, timeout=20)
    sandbox.close()
    with pytest.raises(errors.Unavailable):
        sandbox.call(children.double, 1, timeout=5)
    until = time.monotonic() + 10
    while Path(f"/proc/{child}").exists() and time.monotonic() < until:
        time.sleep(0.02)
    assert not Path(f"/proc/{child}").exists()


_PARENT = """
import threading
from models_registry.runtime.sandbox import Limits, Sandbox
from tests.integration.publishing import children

if __name__ == "__main__":
    sandbox = Sandbox(Limits(memory_bytes=1 << 30))
    thread = threading.Thread(target=lambda: print(sandbox.call(children.process, timeout=20), flush=True))
    thread.start()
    thread.join()  # the thread that asked for the child has ended, and the child lives on
    print(sandbox.call(children.process, timeout=20), flush=True)
    sandbox.call(children.spin_in_c, timeout=60)
"""


def test_children_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(_PARENT)
    parent = subprocess.Popen(
        [sys.executable, str(script)], env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    first, child = int(parent.stdout.readline()), int(parent.stdout.readline())
    assert first == child
    time.sleep(0.3)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until = time.monotonic() + 5
    while _runs(child) and time.monotonic() < until:
        time.sleep(0.02)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
