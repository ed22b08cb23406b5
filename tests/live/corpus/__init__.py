"""Raw requests that no client library would send, more than 300 of them."""

from __future__ import annotations

from tests.live.corpus import bodies, framing, heads, inputs, targets
from tests.live.corpus.wire import GOOD, INFER, PREDICTIONS, Case, request

__all__ = ["GOOD", "INFER", "PREDICTIONS", "Case", "cases", "request"]


def cases() -> list[Case]:
    """All of them, each with a name of its own."""
    groups = (
        *(framing.lengths, framing.chunks, framing.versions, framing.halves),
        *(heads.headers, heads.hosts, targets.paths, targets.methods),
        *(bodies.types, bodies.encodings, bodies.documents, inputs.shapes),
    )
    found = [case for group in groups for case in group()]
    assert len({case.name for case in found}) == len(found)
    return found
