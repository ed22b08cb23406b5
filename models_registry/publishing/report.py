"""What publishing found, step by step, as the JSON that a version keeps and people read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from models_registry.errors import DomainError

OK, SKIPPED, FAILED = "ok", "skipped", "failed"

#: The steps in their order, as progress names them.
STEPS = ("digest", "contents", "signature", "compilation", "parity", "examples", "cost")


class Report:
    """Collects steps and facts; `to_json` is what is stored.

    Facts that others read: `row_cost_s` (seconds for 1, 8 and 64 rows), `memory_bytes`, `missing_text`.
    """

    def __init__(self, requested: Mapping[str, Any], progress: Callable[[str], None]) -> None:
        self._requested = dict(requested)
        self._progress = progress
        self._steps: list[dict[str, Any]] = []
        self._facts: dict[str, Any] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Time a step; an error marks it failed with its message and goes on to the caller."""
        self._progress(name)
        step, started = Step(), time.monotonic()
        try:
            yield step
        except DomainError as error:
            step.outcome, step.detail = FAILED, error.message
            raise
        finally:
            self._steps.append(
                {
                    "name": name,
                    "outcome": step.outcome,
                    "detail": step.detail,
                    "seconds": round(time.monotonic() - started, 3),
                }
            )

    def note(self, **facts: Any) -> None:
        self._facts |= facts

    def to_json(self) -> dict[str, Any]:
        return {"steps": self._steps, **self._facts, "requested": self._requested}


class Step:
    """One step under way: what it says when it is over."""

    def __init__(self) -> None:
        self.outcome = OK
        self.detail = ""

    def skip(self, why: str) -> None:
        self.outcome, self.detail = SKIPPED, why

    def fail(self, why: str) -> None:
        """The step failed, and publishing goes on without it."""
        self.outcome, self.detail = FAILED, why
