"""The import of elasticsearch without what it would bring along."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def import_elasticsearch() -> None:
    """Import it before anybody else does. It imports pyarrow where that is installed, for a serializer that is not used
    here: 43 MB of every process. An export imports pyarrow itself when it writes Parquet."""
    if "elasticsearch" not in sys.modules:
        with _absent("pyarrow"):
            importlib.import_module("elasticsearch.dsl")


@contextmanager
def _absent(name: str) -> Iterator[None]:
    """Let every import of a package fail meanwhile, unless it is imported already."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
