"""What a request asks of the response cache (`Cache-Control`), and what it is told (`Cache-Status`, RFC 9211)."""

from __future__ import annotations

from models_registry.response_cache import Outcome, Wish

#: Our name in `Cache-Status`.
CACHE = "serving-blueprint"

_FORWARDED = {Outcome.MISS: "fwd=miss", Outcome.COLLAPSED: "fwd=miss; collapsed", Outcome.BYPASS: "fwd=request"}


def wish_of(header: str) -> Wish:
    """The request directives of RFC 9111 that matter here: no-store, no-cache, max-age=0; others are no wish."""
    if not header:
        return Wish.NONE
    directives = {part.strip().lower().replace(" ", "") for part in header.split(",")}
    if "no-store" in directives:
        return Wish.NO_STORE
    return Wish.FRESH if directives & {"no-cache", "max-age=0", 'max-age="0"'} else Wish.NONE


def status(outcome: Outcome, *, ttl_s: float = 0.0) -> str:
    """The value of `Cache-Status`: a hit and for how long it is good, or why the model ran and if that is kept."""
    if outcome is Outcome.HIT:
        return f"{CACHE}; hit; ttl={int(ttl_s)}" if ttl_s else f"{CACHE}; hit"
    stored = "; stored" if ttl_s and outcome is not Outcome.COLLAPSED else ""
    return f"{CACHE}; {_FORWARDED[outcome]}{stored}"
