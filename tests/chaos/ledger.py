"""The client's ledger: a line before each call leaves and one with its outcome, each on disk before going on."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it was meant. `number` is its first input, `wanted` a version number or None for the champion."""

    number: int
    second: int
    door: str
    project: str
    model: str
    wanted: int | None = None
    key: str | None = None

    @property
    def row(self) -> tuple[int, int]:
        return self.number, self.second


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the client learnt. `kind`: acknowledged (2xx with an id), refused (4xx, 503: nothing accepted), unknown."""

    kind: str
    status: int = 0
    id: str = ""
    version: int | None = None
    outputs: Any = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Attempted:
    """One call with all its outcomes, in order; queued ones are retried with the same key."""

    call: Call
    outcomes: tuple[Outcome, ...] = field(default=())

    @property
    def acknowledged(self) -> tuple[Outcome, ...]:
        return tuple(outcome for outcome in self.outcomes if outcome.kind == "acknowledged")

    @property
    def unknown(self) -> bool:
        """Was it never acknowledged, and may it have been accepted all the same? A line without outcome may."""
        return not self.acknowledged and (not self.outcomes or any(item.kind == "unknown" for item in self.outcomes))


class ClientLedger:
    """Appends from several threads; a line is on disk when the call returns."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        self._lock = threading.Lock()

    def sent(self, call: Call) -> None:
        fields = {name: getattr(call, name) for name in Call.__slots__}
        self._write({"event": "sent", **fields})

    def outcome(self, call: Call, outcome: Outcome) -> None:
        fields = {name: getattr(outcome, name) for name in Outcome.__slots__}
        self._write({"event": "outcome", "number": call.number, **fields})

    def close(self) -> None:
        os.close(self._file)

    def _write(self, line: dict[str, Any]) -> None:
        text = (json.dumps(line) + "\n").encode()
        with self._lock:
            os.write(self._file, text)
            os.fdatasync(self._file)


def read(path: Path) -> list[Attempted]:
    """Every attempted call of a ledger file."""
    return gather(json.loads(line) for line in path.read_text().splitlines())


def gather(lines: Iterable[dict[str, Any]]) -> list[Attempted]:
    found: dict[int, Attempted] = {}
    for line in lines:
        event, number = line.pop("event"), line["number"]
        if event == "sent":
            found.setdefault(number, Attempted(Call(**line)))
        else:
            del line["number"]
            known = found[number]
            found[number] = replace(known, outcomes=(*known.outcomes, Outcome(**line)))
    return list(found.values())
