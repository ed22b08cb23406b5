"""Model names in the paths of the Open Inference Protocol, read from the right.

A client may send `tenant/model` with its slash unquoted or quoted; both arrive the same.
"""

from __future__ import annotations

from typing import NamedTuple

from models_registry.names import PATTERN

#: Longest version or alias that is looked up, in characters.
MOST_WANTED = 128


class Place(NamedTuple):
    """Which model, and which version or alias of it; None is the champion."""

    name: str
    wanted: str | None


def split(rest: str) -> Place | None:
    """`{name}[/versions/{v}]` → name and version; None for what cannot be a name."""
    parts = rest.split("/")
    wanted = None
    if len(parts) >= 3 and parts[-2] == "versions":
        wanted = parts[-1]
        parts = parts[:-2]
        if not 1 <= len(wanted) <= MOST_WANTED or not wanted.isprintable():
            return None
    if len(parts) > 2 or not all(PATTERN.fullmatch(part) for part in parts):
        return None
    return Place("/".join(parts), wanted)
