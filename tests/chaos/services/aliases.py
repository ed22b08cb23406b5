"""Alias changes while clients call: when each alias pointed where, and how long old answers were still given."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.chaos.load import Connection
from tests.chaos.services.scene import Scene


@dataclass(frozen=True, slots=True)
class Change:
    """The alias came to point at `version` at some instant between `asked` and `told` (monotonic)."""

    version: int
    asked: float
    told: float


@dataclass(frozen=True, slots=True)
class Heard:
    """One answer: which version it named, when it was asked for and when it came."""

    door: str
    version: int
    sent: float
    came: float


def pointed_at(changes: Sequence[Change], begun: float, ended: float) -> set[int]:
    """Every version the alias may have pointed at during a stretch of time; a change in progress counts as both."""
    found = set()
    for place, change in enumerate(changes):
        until = changes[place + 1].told if place + 1 < len(changes) else float("inf")
        if change.asked <= ended and until >= begun:
            found.add(change.version)
    return found


def lateness(changes: Sequence[Change], heard: Sequence[Heard]) -> list[float]:
    """For each change the longest time after it at which a call was still sent and answered by another version."""
    late = []
    for place, change in enumerate(changes[1:], 1):
        until = changes[place + 1].asked if place + 1 < len(changes) else float("inf")
        old = [
            answer.sent - change.told
            for answer in heard
            if change.told < answer.sent and answer.came < until and answer.version != change.version
        ]
        late.append(max(old, default=0.0))
    return late


class Caller:
    """Threads that call one model without naming a version, on connections that are opened anew now and then, so that
    every server process is met."""

    def __init__(self, scene: Scene, model: str, *, threads: int = 8, pause_s: float = 0.1) -> None:
        self._scene, self._model, self._pause_s = scene, model, pause_s
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(threads)]
        self.heard: list[Heard] = []
        self.failed: list[str] = []

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        key = self._scene.place.stage.keys["demo"]
        call = self._online if number % 2 else self._queued
        while not self._ended.is_set():
            connection = Connection(self._scene.port)
            try:
                for _ in range(5):
                    call(connection, {"Authorization": f"Bearer {key}"})
                    self._ended.wait(self._pause_s)
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
            finally:
                connection.close()

    def _online(self, connection: Connection, headers: dict[str, str]) -> None:
        tensor = {"name": "input", "shape": [1, 2], "datatype": "FP64", "data": [1, 2]}
        sent = time.monotonic()
        status, _, body = connection.post(f"/v2/models/{self._model}/infer", {"inputs": [tensor]}, headers)
        if status != 200:
            self.failed.append(f"online {status} {json.dumps(body)[:200]}")
            return
        code = next(item["data"][0] for item in body["outputs"] if item["name"] == "version")
        self._hear("online", int(body["model_version"]), code, sent)

    def _queued(self, connection: Connection, headers: dict[str, str]) -> None:
        document = {"model": self._model, "input": {"instances": [[1, 2]]}}
        sent = time.monotonic()
        status, _, body = connection.post("/v1/predictions", document, {**headers, "Prefer": "wait=5"})
        if status != 201 or body["status"] != "succeeded":
            self.failed.append(f"queued {status} {json.dumps(body)[:200]}")
            return
        version = self._scene.place.stage.numbers[body["version"]]
        self._hear("queued", version, body["output"]["version"][0], sent)

    def _hear(self, door: str, version: int, code: int, sent: float) -> None:
        if code % 100 != version:
            self.failed.append(f"{door} said version {version}, its model said {code}")
        self.heard.append(Heard(door, version, sent, time.monotonic()))


def point(connection: Connection, scene: Scene, model: str, version: int) -> Change:
    """Point champion at a version, as an operator does."""
    headers = {"Authorization": f"Bearer {scene.place.stage.keys['demo']}"}
    body: Any = {"version": version, "why": "test"}
    asked = time.monotonic()
    status = connection.put(f"/api/models/{model}/aliases/champion", body, headers)
    assert status == 200, status
    return Change(version, asked, time.monotonic())
