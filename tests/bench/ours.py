"""Our own server as a contender: one process on one core, embedded, with the given models published to it."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench.contenders import Call, Contender, oip_call
from tests.bench.machine import SERVER_CORE, WORKSHOP, on_core
from tests.bench.resting import until_idle
from tests.bench.works import Work, model_file
from tests.running import ROOT, Server, prepared_folder

ALL_ON = "authentication, metrics, records"
PUBLISH_S = 120.0
REST_S = 180.0


class Ours(Contender):
    """`without` switches monitoring (by its setting) or records (by `tests.bench.switched`) off: its rows say so."""

    ours = True
    works = frozenset(["iris", "forest", "wide", "wide, binary", "heavy"])
    runtime = "onnxruntime, compiled at publishing"

    def __init__(
        self,
        *,
        without: str = "",
        threads: int = 128,
        models: Sequence[str] = ("iris", "forest", "wide"),
        environment: Mapping[str, str] | None = None,
        core: int | None = SERVER_CORE,
    ) -> None:
        self.name = f"ours-without-{without}" if without else "ours"
        self.label = f"ours, without {without}" if without else "ours"
        self.switched = f"{without} off" if without else ALL_ON
        self.models = models
        if without:
            self.works = frozenset(["iris"])
        self._without = without
        self._environment = {
            "BLOCKING_THREADS": str(threads),
            "ANONYMOUS_PROJECT": "-",
            **({"MONITORING": "false"} if without == "monitoring" else {}),
            **(environment or {}),
        }
        self._core = core
        self.server: Server | None = None

    def start(self) -> None:
        folder = fresh_folder(self.name)
        shutil.copytree(prepared_folder(), folder, dirs_exist_ok=True)
        is_switched = self._without == "records"
        entry = ["-m", "tests.bench.switched", "records"] if is_switched else [str(ROOT / "manage.py"), "serve"]
        self.server = Server(
            folder, environment=self._environment, command=on_core(self._core, [sys.executable, *entry])
        )
        self.server.start()
        for model in self.models:
            publish(self.server, model)

    def stop(self) -> None:
        if self.server is not None and self.server.running():
            # A server that does not drain in time was killed by then; its figures are made.
            with contextlib.suppress(AssertionError):
                self.server.stop()

    def pids(self) -> list[int]:
        return [self.server.supervisor] if self.server is not None else []

    def rest(self) -> None:
        """The recorder moves what full load has left in the spool; once that is half full, it stops giving way."""
        until_idle(self.pids(), limit=REST_S)

    def call(self, work: Work) -> Call:
        assert self.server is not None
        return infer_call(self.server, work)


def infer_call(server: Server, work: Work) -> Call:
    name = published_name(work.model)
    return oip_call(f"{server.url}/v2/models/{name}/infer", work, Authorization=f"Bearer {server.key}")


def published_name(model: str) -> str:
    """Apart from the demo models of the same kind."""
    return f"bench-{model}"


def publish(server: Server, model: str) -> None:
    """Publish the model's file as anybody would, and wait until it answers."""
    name = published_name(model)
    status, answer = server.upload(name, model_file(model).read_bytes(), alias="champion")
    if status >= 300:
        raise AssertionError(f"publishing {name} answered {status}: {answer}")
    end = time.monotonic() + PUBLISH_S
    while server.get(f"/v2/models/{name}/ready")[0] != 200:
        if time.monotonic() > end:
            raise AssertionError(f"{name} is not ready: {server.get(f'/api/models/{name}/versions')}")
        time.sleep(0.2)


def fresh_folder(name: str) -> Path:
    folder = WORKSHOP / "run" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
