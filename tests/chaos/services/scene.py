"""The processes of one run on an arena's servers: as `make stack` starts them, but through the launcher."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from serving_site.stack import processes
from serving_site.stack.running import WATCH_EVERY_S, Stack
from tests.chaos.services.arena import Arena, Place
from tests.running import OURS

STANDARD = "predictions.default.standard"
#: What tests shorten, and what keeps many processes small on two cores.
SHORT = {
    **{"LEASE_S": "3", "KEEPER_INTERVAL_S": "1", "DRAIN_S": "5", "BLOCKING_THREADS": "64"},
    **{"CHILD_MEMORY_LIMIT": str(2**31), "LOG_LEVEL": "WARNING"},
    "DJANGO_SETTINGS_MODULE": "serving_site.settings",
}


class Scene(Stack):
    """Web (two processes), workers, keeper; what dies is started again, as `make stack` does."""

    def __init__(
        self,
        arena: Arena,
        place: Place,
        *,
        defect: str = "none",
        workers: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        small: bool = False,
    ) -> None:
        cleared = {name: "" for name in OURS if name in os.environ and name not in ("DATA_DIR", *place.urls)}
        settings = {**cleared, **SHORT, "INDEX_ENVIRONMENT": place.name, **(environment or {})}
        super().__init__(
            place.data.parent,
            given=place.urls,
            workers=workers,
            environment=settings,
            observed=False,
            say=lambda _: None,
        )
        self.arena, self.place = arena, place
        self._defect, self._small = defect, small
        self._watching = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="watch-stack", daemon=True)

    def start(self) -> float:
        """Only our own processes: servers and tables are there."""
        try:
            self.start_processes()
        except BaseException:
            super().stop()
            raise
        self._watcher.start()
        return 0.0

    def stop(self) -> None:
        self._watching.set()
        if self._watcher.is_alive():
            self._watcher.join(30)
        super().stop()

    def _watch(self) -> None:
        while not self._watching.wait(WATCH_EVERY_S):
            with suppress(Exception):
                self.watch()

    def _plans(self) -> list[processes.Plan]:
        plans = [plan for plan in super()._plans() if not (self._small and plan.name == "beat")]
        if self._defect == "none":
            return plans
        return [replace(plan, command=self._through_launcher(plan.command)) for plan in plans]

    def _through_launcher(self, command: tuple[str, ...]) -> tuple[str, ...]:
        python, *words = command
        what = words[1:] if words[0] == "-m" else ["manage", *words[1:]]
        return (python, "-m", "tests.chaos.services.launcher", self._defect, *what)
