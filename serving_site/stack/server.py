"""What every private server has in common: a folder, a port, a process that mirakuru starts and ends."""

from __future__ import annotations

import hashlib
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirakuru import Executor, HTTPExecutor, TCPExecutor
from mirakuru.exceptions import ProcessFinishedWithError

from serving_site.stack import leftovers

#: The account that PostgreSQL and Elasticsearch run as when root starts them: both refuse to be root.
ACCOUNT = "serving"
#: Linux gives outgoing connections ports from 32768 upwards, macOS from 49152.
_PORTS = (15_000, 32_000)
_TRIES = 100
#: What this process took for servers of its own: another one that looks for a port meanwhile passes over them.
_taken: list[socket.socket] = []


class ServerMissing(Exception):
    """A server's program is not on this machine and could not be installed."""


class ServerBroken(Exception):
    """A server was started and does not work."""


@dataclass(slots=True)
class Server:
    """One running server: `url` is what the matching setting takes, `folder` holds its data and log."""

    name: str
    url: str
    port: int
    folder: Path
    process: Executor
    extra_urls: Mapping[str, str]

    @property
    def pid(self) -> int:
        process = self.process.process
        if process is None:
            raise RuntimeError(f"{self.name} does not run")
        return process.pid

    def said(self, lines: int = 20) -> str:
        """The end of its log."""
        return "\n".join((self.folder / f"{self.name}.log").read_text(errors="replace").splitlines()[-lines:])

    def stop(self) -> None:
        """End it and everything it started; a server that was killed before, or says so on leaving, is no error."""
        with suppress(ProcessFinishedWithError):
            self.process.stop()


def free_port() -> int:
    """A loopback port nobody listens on, outside the range that outgoing connections take theirs from.

    A server that was killed is started again on its port. Within that range another connection could hold it by then,
    or even a client's own: connecting to a dead port of the range can meet itself (TCP's simultaneous open). A server
    may take its port seconds later; until this process ends no other one of ours is given it.
    Raises OSError when none is found.
    """
    for _ in range(_TRIES):
        port = _PORTS[0] + secrets.randbelow(_PORTS[1] - _PORTS[0])
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            _take(port)
            return port
    raise OSError(f"no free port between {_PORTS[0]} and {_PORTS[1]}")


def _take(port: int) -> None:
    """Raise OSError if another process took it. The name is Linux's, of no file, and gone with the process."""
    if sys.platform == "linux":
        name = socket.socket(socket.AF_UNIX)
        name.bind(f"\0serving-blueprint-port-{port}")
        _taken.append(name)


def launch(
    name: str,
    command: Sequence[str | Path],
    *,
    folder: Path,
    port: int,
    url: str,
    env: Mapping[str, str] | None = None,
    unprivileged: bool = False,
    timeout: float = 60,
    extra_urls: Mapping[str, str] | None = None,
    ready_path: str | None = None,
) -> Server:
    """Start the command and wait until its port answers, or its `ready_path` with 200; its output goes to a log.

    The log is `<folder>/<name>.log`.
    """
    words = [str(word) for word in command]
    if unprivileged and os.geteuid() == 0:
        words = ["setpriv", "--reuid", ACCOUNT, "--regid", ACCOUNT, "--clear-groups", *words]
    log = (folder / f"{name}.log").open("ab")
    options: dict[str, Any] = {
        "timeout": timeout,
        "cwd": str(folder),
        "envvars": {**os.environ, **(env or {})},
        "stdout": log,
        "stderr": subprocess.STDOUT,
        "sleep": 0.1,
    }
    process: TCPExecutor = (
        HTTPExecutor(
            words, f"http://127.0.0.1:{port}{ready_path}", status=200, method="GET", request_timeout=2, **options
        )
        if ready_path
        else TCPExecutor(words, "127.0.0.1", port, **options)
    )
    leftovers.begin(process)
    return Server(name, url, port, folder, process, extra_urls or {})


def folder_for(root: Path, name: str, *, unprivileged: bool = False) -> Path:
    """The server's folder below `root`; elsewhere when its account could not reach it there.

    As root the account may not pass through a closed clone; then the data lies in /var/tmp under a name made from
    the clone's path, and a link in `root` shows where.
    """
    folder = root / name
    if not (unprivileged and os.geteuid() == 0):
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    account = _account()
    if not _reachable(root):
        digest = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:12]
        place = Path("/var/tmp") / f"serving-blueprint-{digest}" / name  # noqa: S108 - a fixed name only root makes
        place.mkdir(parents=True, exist_ok=True)
        root.mkdir(parents=True, exist_ok=True)
        if not folder.exists():
            folder.symlink_to(place)
        folder = place
    folder.mkdir(parents=True, exist_ok=True)
    os.chown(folder, account.pw_uid, account.pw_gid)
    return folder


def discard(root: Path) -> None:
    """Drop the data of stopped servers for good, also what lies outside `root`: for runs that keep nothing."""
    for folder in root.iterdir():
        if folder.is_symlink():
            place = folder.resolve()
            shutil.rmtree(place, ignore_errors=True)
            with suppress(OSError):
                place.parent.rmdir()
    shutil.rmtree(root, ignore_errors=True)


def _account() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(ACCOUNT)
    except KeyError:
        subprocess.run(  # noqa: S603
            [program("useradd"), "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", "-U", ACCOUNT],
            check=True,
        )
        return pwd.getpwnam(ACCOUNT)


def _reachable(root: Path) -> bool:
    """True when everybody may pass through every folder down to `root`."""
    path = root.resolve()
    existing = [parent for parent in (path, *path.parents) if parent.exists()]
    return all(parent.stat().st_mode & 0o001 for parent in existing)


def program(name: str, *places: str) -> str:
    """The full path of a program; raises `ServerMissing` naming it."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", *places]))
    if found is None:
        raise ServerMissing(f"{name} is not installed")
    return found
