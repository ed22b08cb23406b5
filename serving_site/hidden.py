"""The secrets among the settings, so that no log line shows one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

_WHOLE = ("SECRET_KEY", "ELASTICSEARCH_API_KEY", "ARTIFACT_SECRET_KEY")
_URLS = ("DATABASE_URL", "RABBITMQ_URL", "REDIS_URL", "REDIS_RESULTS_URL", "ELASTICSEARCH_URL")
#: The password in each node's `user:password@`.
_PASSWORD = re.compile(r"(?://|[;,](?![a-z0-9+]+://))[^\s/:@;,]*:([^\s@]+)@")


def secrets(values: Any, *others: str) -> list[str]:
    """Every secret in `values` (a namespace with the names of `serving_site.env`), as written and unquoted."""
    return sorted({text for text in (*_found(values), *others) if text})


def _found(values: Any) -> Iterator[str]:
    for name in _WHOLE:
        yield getattr(values, name)
    for name in _URLS:
        for password in _PASSWORD.findall(getattr(values, name)):
            yield from (password, unquote(password))
