"""The response cache of the queued path: an equal input of the same artefact is not run again.

Answers lie in the shared cache (Redis; embedded, in this process) as the JSON that their row holds, under the key of
the online path. Whatever becomes of that cache, away or filled by a stranger, costs a run and never an answer.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson
from django.core.cache import caches

from models_registry.response_cache import Outcome, Wish, key_of
from models_registry.routing import Version
from models_registry.runtime.signature import Tensors
from predictions.queued.ledger import Claimed, Settled

logger = logging.getLogger(__name__)

#: Larger answers are not kept: the cache holds many small ones.
MOST_OCTETS = 16 * 2**10


@dataclass(frozen=True, slots=True)
class Asked:
    """One claimed row with its decoded input. `key` is empty where nothing is kept of it."""

    row: Claimed
    inputs: Tensors
    key: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one batch comes to: rows that end with a kept answer, rows to run, and per key the rows that wait for one
    of those."""

    hits: Sequence[Settled]
    runs: Sequence[Asked]
    waiting: Mapping[str, Sequence[Asked]] = field(default_factory=dict)


def plan(version: Version, asked: Sequence[Asked]) -> Plan:
    """Look up what is kept; of equal inputs, and of what is not kept, one runs."""
    if not version.cache_ttl_s:
        return Plan((), asked)
    keyed = [Asked(one.row, one.inputs, _key(version, one)) for one in asked]
    found = _find(version, [one.key for one in keyed if one.key and one.row.cache != Wish.FRESH])
    hits: list[Settled] = []
    runs: list[Asked] = []
    waiting: dict[str, list[Asked]] = {}
    for one in keyed:
        if one.row.cache or not one.key:
            runs.append(one)
        elif one.key in found:
            hits.append(Settled(one.row.id, output=found[one.key], cache=Outcome.HIT))
        elif one.key in waiting:
            waiting[one.key].append(one)
        else:
            waiting[one.key] = []
            runs.append(one)
    return Plan(hits, runs, waiting)


def outcome_of(version: Version, one: Asked) -> str:
    """What the cache did for a row that ran; empty where the model has none."""
    if not version.cache_ttl_s:
        return ""
    return Outcome.BYPASS if one.row.cache else Outcome.MISS


def keep(version: Version, answers: Mapping[str, bytes]) -> None:
    """Keep answers by key; best effort."""
    now = time.time()
    small = {key: [now, output.decode()] for key, output in answers.items() if key and len(output) <= MOST_OCTETS}
    if not small or not version.cache_ttl_s:
        return
    try:
        caches["default"].set_many(small, timeout=math.ceil(version.cache_ttl_s))
    except Exception:
        logger.warning("answers were not kept", extra={"action": "answers_not_kept"}, exc_info=True)


def _key(version: Version, one: Asked) -> str:
    return "" if one.row.cache == Wish.NO_STORE else f"answer:{key_of(version, one.inputs).hex()}"


def _find(version: Version, keys: Iterable[str]) -> dict[str, bytes]:
    wanted = list(dict.fromkeys(keys))
    if not wanted:
        return {}
    try:
        kept = caches["default"].get_many(wanted)
        return {key: output for key, value in kept.items() if (output := _read(version, value)) is not None}
    except Exception:
        logger.warning("kept answers were not read", extra={"action": "answers_not_read"}, exc_info=True)
        return {}


def _read(version: Version, value: object) -> bytes | None:
    """A kept answer that is young enough and has the version's outputs; None for anything else."""
    if not isinstance(value, list | tuple) or len(value) != 2 or not isinstance(value[1], str):
        return None
    stored_at, text = value
    if not isinstance(stored_at, int | float) or not time.time() - stored_at < version.cache_ttl_s:
        return None
    output = orjson.loads(text)
    names = {spec.name for spec in version.signature.outputs}
    return text.encode() if isinstance(output, dict) and output.keys() == names else None
