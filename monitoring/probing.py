"""Probers: a thread for each service that asks it the simplest question, whether or not anybody else does.

So health is true within 2 s of a fault and of its end (0.75 s until the next question, 1 s until it counts as not
answered), costs no one who reads it a wait, and an open circuit closes without a caller who had to try.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from monitoring import guards, health
from monitoring.guards import Guard
from monitoring.health import LIMIT_S, Part, State

logger = logging.getLogger(__name__)

EVERY_S = 0.75
#: Seconds until a service that has just failed is asked again: two failures in a row open its circuit.
AGAIN_S = 0.2


class Prober:
    """Asks one service in a thread of its own. `ask` bounds itself to about `LIMIT_S` seconds.

    It returns the part as health shows it, or raises: the part is then down. `guarded` are the circuits that its word
    opens and closes, and nobody else's while it runs.
    """

    def __init__(self, part: str, ask: Callable[[], Part], *, guarded: tuple[Guard, ...] = ()) -> None:
        self.name = f"probe {part}"
        self._part = part
        self._ask = ask
        self._guarded = guarded
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._asked_at = 0.0
        self._last: Part | None = None
        self._heard = threading.Event()

    def start(self) -> None:
        self._ended.clear()
        for guard in self._guarded:
            guard.breaker.probed = True
        self._heard.clear()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        health.register(self._part, self.part)
        self._thread.start()

    def stop(self, timeout: float) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join(timeout)
        self._thread = None
        for guard in self._guarded:
            guard.breaker.probed = False

    def part(self) -> Part:
        """What is known now, without a wait but for the first answer; asked here and now where no thread asks.

        Never both: `ask` has a connection of its own, and two threads would take each other's answers from it.
        """
        if self._thread is None:
            with guards.probing():
                return self._ask()
        asked_at = self._asked_at
        if asked_at and time.monotonic() - asked_at > LIMIT_S:
            return Part(State.DOWN, f"no answer within {LIMIT_S:g} s")
        self._heard.wait(LIMIT_S)
        return self._last or Part(State.DOWN, f"no answer within {LIMIT_S:g} s")

    def ask_once(self) -> bool:
        """Ask, remember and tell the circuits; True when the service answered."""
        self._asked_at = time.monotonic()
        try:
            with guards.probing():
                found = self._ask()
        except Exception as error:
            self._remember(Part(State.DOWN, f"{type(error).__name__}: {error}"[:300]))
            for guard in self._guarded:
                guard.failed(error)
            return False
        self._remember(found)
        for guard in self._guarded:
            guard.succeeded()
        return True

    def _remember(self, found: Part) -> None:
        self._last = found
        self._asked_at = 0.0
        self._heard.set()

    def _run(self) -> None:
        while not self._ended.is_set():
            answered = self.ask_once()
            self._ended.wait(EVERY_S if answered or self._is_open() else AGAIN_S)

    def _is_open(self) -> bool:
        return all(not guard.breaker.admits() for guard in self._guarded)
