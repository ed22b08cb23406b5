"""Names of projects, models and aliases: one pattern, and the words the paths need for themselves."""

from __future__ import annotations

import re

from models_registry import errors

PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

#: Path components of `/v2/models/...` and `/v1/models/...`; a model of such a name could not be reached.
RESERVED = frozenset(
    [
        "versions",
        "infer",
        "ready",
        "config",
        "stats",
        "generate",
        "generate_stream",
        "infer_stream",
        "trace",
        "predictions",
    ]
)


def check_name(name: str, *, field: str = "name") -> str:
    """Return the name, or raise `InvalidInput` with the rule it breaks."""
    if not PATTERN.fullmatch(name):
        raise errors.InvalidInput(
            "a name is 1 to 64 of a-z, 0-9, '_' and '-', and begins with a letter or digit", field=field
        )
    if name in RESERVED:
        raise errors.InvalidInput(f"{name!r} is a word of the URLs and cannot be a name", field=field)
    return name


def check_alias(name: str, *, field: str = "alias") -> str:
    """Return the alias, or raise `InvalidInput`; digits alone are version numbers."""
    if check_name(name, field=field).isdigit():
        raise errors.InvalidInput("an alias is not all digits: that is a version number", field=field)
    return name
