"""How long a run measures, whom, and where its results go."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.bench.machine import WORKSHOP

#: The figures that README shows; quick runs leave them alone.
KEPT = Path(__file__).parent / "results"
QUICK = WORKSHOP / "quick"
#: What a quick run leaves out unless it is named.
LONG = frozenset(["processes", "ledger", "connections", "growth", "scale", "searches"])


@dataclass(frozen=True)
class Plan:
    """`rounds` windows of `seconds` per server and work, one server after the other within each round."""

    rounds: int = 5
    seconds: float = 2.0
    peers: bool = True
    only: tuple[str, ...] = ()
    among: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        return KEPT if self.peers else QUICK

    def wants(self, section: str) -> bool:
        return section in self.only if self.only else self.peers or section not in LONG


def from_environment(environment: Mapping[str, str] = os.environ) -> Plan:
    """QUICK; ONLY (sections) and AMONG (servers), names with commas; ROUNDS; SECONDS."""
    quick = environment.get("QUICK", "") not in ("", "0")
    return Plan(
        rounds=int(environment.get("ROUNDS") or (3 if quick else 5)),
        seconds=float(environment.get("SECONDS") or (1 if quick else 2)),
        peers=not quick,
        only=_names(environment.get("ONLY", "")),
        among=_names(environment.get("AMONG", "")),
    )


def _names(listed: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in listed.split(",") if name.strip())
