"""Who asks: plain values, the same for every protocol."""

from __future__ import annotations

from dataclasses import dataclass

#: What a request without a key may do, where a setting allows such requests at all.
ANONYMOUS_SCOPES = frozenset(["predict", "read"])


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: the project a key stands for, and what it may do. `models` is None when all are allowed."""

    project_id: int
    project: str
    key: str
    scopes: frozenset[str]
    models: frozenset[str] | None = None
    open_limit: int = 10_000

    @property
    def is_authenticated(self) -> bool:
        """What frameworks ask of a user; a principal exists only once its key was checked."""
        return True
