"""Which version answers, and why. Pure: the same entry and the same wish give the same answer everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from models_registry import errors
from models_registry.runtime.signature import Signature

#: The alias that answers when a request names none.
CHAMPION = "champion"


@dataclass(frozen=True, slots=True)
class Version:
    """One ready version as the doors see it. `row_cost_s` is the measured cost of 1, 8 and 64 rows in seconds.

    `memory_bytes` is its measured memory (0: not measured), `cache_ttl_s` how long its answers are cached (0: not at
    all), `privacy` what is done to its fields before anything is stored.
    """

    id: UUID
    project_id: int
    project: str
    model_id: int
    model: str
    number: int
    digest: str
    runtime: str
    signature: Signature
    served_digest: str
    hard_limit_s: float
    pool: str
    open_limit: int
    row_cost_s: tuple[float, float, float]
    missing_text: str = ""
    format: str = ""
    platform: str = ""
    cache_ttl_s: float = 0.0
    memory_bytes: int = 0
    privacy: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One model as the doors see it: its ready versions by number, its aliases by name."""

    project: str
    name: str
    versions: Mapping[int, Version]
    aliases: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Route:
    """The version that answers and the reason, as the record keeps it."""

    version: Version
    reason: str


def choose(entry: Entry, wanted: str | None) -> Route:
    """Pick the version for `wanted`: a number, an alias, or None for the champion. Raises `NotFound`.

    Nothing goes live by itself: without a champion a request has to name a version or an alias.
    """
    if wanted is not None and wanted.isascii() and wanted.isdigit() and len(wanted) < 10:
        version = entry.versions.get(int(wanted))
        if version is not None:
            return Route(version, f"version {version.number}")
    else:
        alias = CHAMPION if wanted is None else wanted
        number = entry.aliases.get(alias)
        if number is not None and number in entry.versions:
            return Route(entry.versions[number], f"alias {alias}")
    if wanted is None:
        raise errors.NotFound(f"Model {entry.name} has no champion: name a version or an alias")
    raise errors.NotFound(f"Model {entry.name} with version {wanted} not found")
