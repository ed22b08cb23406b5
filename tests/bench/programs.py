"""What a run needs of others: wrk from Debian, and one virtual environment per peer, pinned to the last package."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.bench.machine import WORKSHOP

LOCKS = Path(__file__).parent / "peers" / "locks"


class ProgramMissing(Exception):
    """Something a run needs is not here and could not be installed."""


def ensure_debian(program: str, package: str) -> None:
    """Install a Debian package where its program is missing. Raises `ProgramMissing`."""
    if shutil.which(program):
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        for command in (["update"], ["install", "-y", "--no-install-recommends", package]):
            subprocess.run(["apt-get", "-qq", *command], check=False, timeout=600, stdout=subprocess.DEVNULL)
    if not shutil.which(program):
        raise ProgramMissing(f"{program} is not installed (Debian package: {package})")


def environment(name: str) -> Path:
    """The virtual environment with the packages of `locks/<name>.txt`, made where missing. Raises `ProgramMissing`."""
    lock, folder = LOCKS / f"{name}.txt", WORKSHOP / "peers" / name
    stamp, digest = folder / "installed", hashlib.sha256(lock.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return folder
    print(f"  installing {name} …", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    with (_logs() / f"install-{name}.log").open("wb") as log:
        for command in _install(folder, lock):
            if not any(subprocess.run(one, stdout=log, stderr=log, check=False).returncode == 0 for one in command):
                raise ProgramMissing(f"{name} could not be installed; {log.name} says why")
    stamp.write_text(digest)
    return folder


def _install(folder: Path, lock: Path) -> list[list[list[str]]]:
    """Steps in order; of each the first alternative that works."""
    python = str(folder / "bin" / "python")
    uv = str(Path(sys.executable).parent / "uv")
    return [
        [[sys.executable, "-m", "venv", str(folder)]],
        [
            [uv, "pip", "install", "--quiet", "--no-deps", "--python", python, "-r", str(lock)],
            [python, "-m", "pip", "install", "--quiet", "--no-deps", "-r", str(lock)],
        ],
    ]


def python(name: str) -> str:
    return str(environment(name) / "bin" / "python")


def version_of(name: str, package: str) -> str:
    """The pinned version of one package of a peer."""
    lines = (LOCKS / f"{name}.txt").read_text().splitlines()
    return next((line.partition("==")[2] for line in lines if line.startswith(f"{package}==")), "?")


def _logs() -> Path:
    folder = WORKSHOP / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
