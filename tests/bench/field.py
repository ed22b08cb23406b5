"""The servers of a run, started once and left running; who cannot be started is shown with the reason."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, TypeVar

from tests.bench.contenders import Contender
from tests.bench.launched import freeze, thaw
from tests.bench.works import Work

T = TypeVar("T")
Name = TypeVar("Name", bound=Hashable)
#: What a server that was just woken gets for what its timers have missed.
SETTLE_S = 0.3


class Field:
    """Who takes part. Use as a context: everybody started is stopped at its end."""

    def __init__(self, contenders: Sequence[Contender], works: Sequence[Work]) -> None:
        self._wanted, self._works = contenders, works
        self.running: list[Contender] = []
        self.missing: dict[str, str] = {}

    def __enter__(self) -> Field:
        for contender in self._wanted:
            begun = time.monotonic()
            try:
                contender.start()
                contender.check(self._works)
            except BaseException as error:
                contender.stop()
                if not isinstance(error, Exception):
                    self.__exit__()
                    raise
                self.missing[contender.name] = f"{type(error).__name__}: {error}"[:500]
                print(f"  {contender.label}: did not start: {error}", flush=True)
                continue
            self.running.append(contender)
            print(f"  {contender.label}: every answer right ({time.monotonic() - begun:.0f} s)", flush=True)
        return self

    def __exit__(self, *_: object) -> None:
        for contender in self.running:
            for pid in contender.pids():
                thaw(pid)
        for contender in self.running:
            # One that does not end as told is not to keep the others running.
            with contextlib.suppress(Exception):
                contender.stop()
        self.running = []

    @contextlib.contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Nobody else works meanwhile. Ours go on storing records after a window, so they stand still; the peers have
        nothing to do between two calls, and Triton does not survive being stopped within its lock."""
        for contender in self.running:
            if contender.ours:
                act = thaw if contender.name == name else freeze
                for pid in contender.pids():
                    act(pid)
        time.sleep(SETTLE_S)
        yield

    def facts(self) -> dict[str, Any]:
        return {contender.name: contender.facts() for contender in self._wanted}


def interleaved(rounds: int, work: Sequence[tuple[Name, Callable[[], T]]]) -> dict[Name, list[T]]:
    """Each round does every piece once, in turn from another start; what each gave, by name."""
    found: dict[Name, list[T]] = {name: [] for name, _ in work}
    for turn in range(rounds):
        begin = turn % len(work) if work else 0
        for name, measure in [*work[begin:], *work[:begin]]:
            found[name].append(measure())
    return found
