"""What happens to the server: kills at random instants by a seed, each followed by a start; aliases that move."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import random
import threading
import time
from dataclasses import dataclass

from tests.chaos import oracle
from tests.chaos.load import Connection
from tests.chaos.stage import Stage
from tests.running import Server

KINDS = ("supervisor", "worker", "both")


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill: whom, seconds after the last start, seconds until the next one was ready again."""

    kind: str
    after_s: float
    back_s: float


def plan(rounds: int, seed: int) -> list[tuple[str, float]]:
    """Each kind `rounds` times, in an order and at instants that the seed decides."""
    chance = random.Random(seed)
    kinds = [kind for kind in KINDS for _ in range(rounds)]
    chance.shuffle(kinds)
    return [(kind, chance.uniform(0.3, 3.0)) for kind in kinds]


def strike(server: Server, kind: str, after_s: float) -> Kill:
    """Let it serve for a while, kill -9, start again. Killing one of the two ends both, or the next start fails."""
    time.sleep(after_s)
    supervisor, worker = server.pids
    victims = {"supervisor": [supervisor], "worker": [worker], "both": [supervisor, worker]}[kind]
    server.kill(*victims)
    return Kill(kind, after_s, server.start())


class AliasMover:
    """Points every model's champion at its other version, again and again, as an operator would."""

    def __init__(self, port: int, stage: Stage, *, every_s: float = 0.5) -> None:
        self._connection, self._stage, self._every_s = Connection(port), stage, every_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alias-mover")
        self.moved = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        targets = itertools.cycle(itertools.product(oracle.VERSIONS, oracle.PROJECTS, oracle.MODELS))
        while not self._ended.wait(self._every_s):
            version, project, model = next(targets)
            headers = {"Authorization": f"Bearer {self._stage.keys[project]}"}
            body = {"version": version, "why": "chaos"}
            with contextlib.suppress(OSError, http.client.HTTPException):
                path = f"/api/models/{model}/aliases/champion"
                self.moved += self._connection.put(path, body, headers) == 200
                continue
            self._connection.close()
