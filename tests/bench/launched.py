"""A process of a run, tied to a core, in a session of its own so that all it starts ends with it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.bench.machine import START_S, WORKSHOP, on_core

END_S = 15.0


class DidNotStart(Exception):
    """A server ended, or did not answer rightly in time; the message has the end of its log."""


class Launched:
    """`name` names its log below var/bench/logs."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        core: int | None,
        folder: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = WORKSHOP / "logs" / f"{name}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                on_core(core, command),
                cwd=folder,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_until(self, works: Callable[[], bool], *, limit: float = START_S) -> None:
        """Ask until `works` says so. Raises `DidNotStart`."""
        end = time.monotonic() + limit
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(OSError, ValueError, KeyError, IndexError):
                if works():
                    return
            time.sleep(0.2)
        raise DidNotStart(f"{self.name} does not answer rightly:\n{self.tail()}")

    def tail(self, lines: int = 25) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self) -> None:
        """SIGTERM to its leader, then an end to the whole session."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(END_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def below(pid: int) -> list[int]:
    """The process and all it has started, parents first."""
    path = Path(f"/proc/{pid}/task")
    threads = path.iterdir() if path.exists() else ()
    found = [pid]
    for thread in threads:
        with contextlib.suppress(OSError):
            for child in (thread / "children").read_text().split():
                found += below(int(child))
    return found


def freeze(pid: int) -> None:
    """Stop a server that is not measured now: nothing it does on its own may disturb the others."""
    for one in below(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGSTOP)


def thaw(pid: int) -> None:
    for one in below(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGCONT)
