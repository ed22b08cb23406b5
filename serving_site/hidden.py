"""The secrets among the settings, so that no log line shows one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

#: Settings that are secrets, by their names, and those that may have one inside.
_WHOLE = re.compile(r"[A-Z_]*(?:SECRET|PASSWORD|TOKEN|_KEY$)[A-Z_]*")
_URL = re.compile(r"[A-Z_]+_URL")
#: The password in each node's `user:password@`.
_PASSWORD = re.compile(r"(?://|[;,](?![a-z0-9+]+://))[^\s/:@;,]*:([^\s@]+)@")


def secrets(values: Any, *others: str) -> list[str]:
    """Every secret in `values` (a namespace with the names of `serving_site.env`), as written and unquoted."""
    return sorted({text for text in (*_found(values), *others) if text})


def _found(values: Any) -> Iterator[str]:
    for name, value in vars(values).items():
        if not isinstance(value, str):
            continue
        if _WHOLE.fullmatch(name):
            yield value
        elif _URL.fullmatch(name):
            for password in _PASSWORD.findall(value):
                yield from (password, unquote(password))
