"""What peers that are one process each have in common."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from serving_site.stack.server import free_port
from tests.bench import programs
from tests.bench.contenders import Contender
from tests.bench.launched import Launched
from tests.bench.machine import SERVER_CORE, TRAIN_S, WORKSHOP
from tests.bench.works import FOREST, IRIS, WIDE

FILES = Path(__file__).parent / "files"
WORKS = (IRIS, FOREST, WIDE)
#: A peer on one core is not to start a pool of threads for two.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def fitted(environment: str) -> Path:
    """Where the models are as the peer's own scikit-learn has fitted them; done once."""
    folder = WORKSHOP / "fitted" / environment
    if not (folder / "wide.joblib").exists():
        folder.mkdir(parents=True, exist_ok=True)
        train = [programs.python(environment), str(FILES / "train.py"), str(folder)]
        subprocess.run(train, check=True, timeout=TRAIN_S, capture_output=True)
    return folder


class Peer(Contender):
    """A peer whose virtual environment is `environment`; its processes work in `folder`."""

    environment = ""
    switched = "no authentication, no records"
    works = frozenset(["iris", "forest", "wide"])

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = WORKSHOP / "run" / self.name
        self._launched: list[Launched] = []

    def prepare(self) -> None:
        """Write what it serves into `self.folder`."""

    def commands(self) -> Sequence[tuple[Sequence[str], Mapping[str, str]]]:
        """Each process' command and environment."""
        raise NotImplementedError

    def start(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        programs.environment(self.environment)
        self.prepare()
        for at, (command, variables) in enumerate(self.commands()):
            name = f"{self.name}-{at}" if at else self.name
            settings = {**ONE_THREAD, **self.variables(), **variables}
            self._launched.append(Launched(name, command, core=SERVER_CORE, folder=self.folder, environment=settings))
        for work in WORKS:
            self._launched[0].wait_until(partial(self.is_right, work))

    def stop(self) -> None:
        for launched in self._launched:
            launched.stop()

    def pids(self) -> list[int]:
        return [launched.process.pid for launched in self._launched]

    def variables(self) -> dict[str, str]:
        """Its own programs first on the PATH: some peers start others of theirs by name."""
        import os

        return {"PATH": f"{self.program('')}:{os.environ['PATH']}"}

    def program(self, name: str) -> str:
        return str(WORKSHOP / "peers" / self.environment / "bin" / name).rstrip("/")

    def file(self, name: str) -> str:
        """Copy one of `files/` into the peer's folder; return its name without the suffix."""
        shutil.copy(FILES / name, self.folder / name)
        return name.removesuffix(".py")
