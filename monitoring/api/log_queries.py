"""Query strings into `logs.stores.base.LogQuery`: every parameter known, checked and bounded, the faulty one named."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.http import QueryDict

from monitoring.api.errors import InvalidParameters
from monitoring.api.queries import integer, moment, one_of, words
from monitoring.logs.lines import LEVELS
from monitoring.logs.stores.base import LogQuery

MOST_LINES = 200
#: Words of one search: each is a condition.
MOST_WORDS = 10


def _text(text: str) -> str:
    if len(words(text).split()) > MOST_WORDS:
        raise ValueError(f"at most {MOST_WORDS} words fit into one search")
    if not text.split():
        raise ValueError("a word is needed")
    return text


#: Parameter → (field of LogQuery, parser).
CONDITIONS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "q": ("text", _text),
    "level": ("level", one_of(*LEVELS)),
    "service": ("service", words),
    "action": ("action", words),
    "model": ("model", words),
    "request_id": ("request_id", words),
    "prediction_id": ("prediction_id", words),
    "trace_id": ("trace_id", words),
    "since": ("since", moment),
    "until": ("until", moment),
    "limit": ("limit", lambda text: integer(text, least=1, most=MOST_LINES)),
    "cursor": ("cursor", words),
}


def read(
    parameters: QueryDict, *, project: str | None, others: Iterable[str] = (), empty_is_absent: bool = False
) -> LogQuery:
    """The query of these parameters. Raises `InvalidParameters` naming every unknown, repeated or faulty one.

    `empty_is_absent` is how forms send what was not filled in.
    """
    faults: dict[str, list[str]] = {}
    fields: dict[str, Any] = {}
    for name in parameters:
        if name not in CONDITIONS:
            if name not in others:
                faults[name] = ["there is no such parameter"]
            continue
        if len(parameters.getlist(name)) > 1:
            faults[name] = ["may be given once"]
            continue
        text = str(parameters[name])
        if empty_is_absent and not text.strip():
            continue
        field, parse = CONDITIONS[name]
        try:
            fields[field] = parse(text)
        except ValueError as error:
            faults[name] = [str(error)]
    if faults:
        raise InvalidParameters(faults)
    return LogQuery(project=project, **fields)
