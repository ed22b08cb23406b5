"""The steady load of `tests.chaos.load`, with how long each call took."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import Any

from tests.chaos.ledger import Call, Outcome
from tests.chaos.load import Connection, Load


@dataclass(frozen=True, slots=True)
class Timing:
    """One try: when it left (monotonic), how long its answer took, what it was."""

    begun: float
    seconds: float
    door: str
    kind: str
    status: int
    finished: bool


class TimedLoad(Load):
    """Keeps a `Timing` of every try."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.timings: list[Timing] = []

    def _try(self, connection: Connection, call: Call, chance: random.Random) -> Outcome:
        begun = time.monotonic()
        outcome = super()._try(connection, call, chance)
        taken = time.monotonic() - begun
        self.timings.append(Timing(begun, taken, call.door, outcome.kind, outcome.status, outcome.outputs is not None))
        return outcome

    def finished_after(self, moment: float) -> float | None:
        """Seconds from `moment` to the first answer of a queued call sent since that came finished."""
        ends = [
            timing.begun + timing.seconds - moment
            for timing in list(self.timings)
            if timing.door == "queued" and timing.finished and timing.begun >= moment
        ]
        return min(ends) if ends else None
