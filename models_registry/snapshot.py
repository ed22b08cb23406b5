"""What the doors read: keys, routes and loaded predictors as one immutable value, rebuilt in the background.

Readers take `current()` and never wait for the database. A change of the registry is noticed within a second; the
old version answers until the new one is warm in this process: load → warm → switch → drain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from models_registry.routing import Entry
from models_registry.runtime.predictor import Predictor


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: the project a key stands for, and what it may do. `models` is None when all are allowed."""

    project_id: int
    project: str
    key: str
    scopes: frozenset[str]
    models: frozenset[str] | None = None
    open_limit: int = 10_000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One moment of the registry. `principals` by SHA-256 (hex) of the secret, `entries` by project and name."""

    revision: int = 0
    built_at: float = 0.0
    principals: Mapping[str, Principal] = field(default_factory=dict)
    anonymous: Principal | None = None
    entries: Mapping[tuple[str, str], Entry] = field(default_factory=dict)
    predictors: Mapping[UUID, Predictor] = field(default_factory=dict)
