"""Query strings into `stores.base.Query`: every parameter known, checked and bounded, the faulty one named."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.http import QueryDict
from django.utils.dateparse import parse_datetime

from monitoring import privacy
from monitoring.api.errors import InvalidParameters
from monitoring.records import TERMINAL
from monitoring.stores.base import Query, Range

MOST_RECORDS = 200
MOST_RANGES = 5
MOST_STRETCHES = 2000
MOST_TEXT = 200


def integer(text: str, *, least: int, most: int) -> int:
    if not text.isascii() or not text.removeprefix("-").isdigit() or len(text) > 12 or not least <= int(text) <= most:
        raise ValueError(f"a whole number from {least} to {most} is needed")
    return int(text)


def number(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not math.isfinite(found) or "_" in text:
        raise ValueError("a finite number is needed")
    return found


def words(text: str) -> str:
    if not text or len(text) > MOST_TEXT or "\0" in text:
        raise ValueError(f"a text of 1 to {MOST_TEXT} characters is needed")
    return text


def one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"one of {', '.join(choices)} is needed")
        return text

    return parse


def moment(text: str) -> datetime:
    """ISO 8601 with a zone; a "+" that a URL turned into a blank is understood."""
    try:
        found = parse_datetime(text.replace(" ", "+") if text.count(" ") == 1 and "T" in text else text)
    except ValueError:
        found = None
    if found is None:
        raise ValueError("a time in ISO 8601 is needed, like 2026-03-01T12:00:00Z")
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def value_range(text: str) -> Range:
    """`input.sepal_length:5..6`, `input.age:30..`, `output.value:..0.5`, `output.label:setosa`."""
    place, colon, wanted = text.partition(":")
    side, dot, name = place.partition(".")
    if not colon or not dot or side not in ("input", "output") or not name or len(text) > 400 or "\0" in text:
        raise ValueError("a range is needed, like input.sepal_length:5..6 or output.label:setosa")
    least, dots, most = wanted.partition("..")
    if dots:
        if not least and not most:
            raise ValueError("a range needs at least one bound")
        return Range(side, name, number(least) if least else None, number(most) if most else None)
    if not wanted:
        raise ValueError("a text or a range is needed behind the colon")
    return Range(side, name, text=wanted)


#: Parameter → (field of Query, parser).
CONDITIONS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "model": ("model", words),
    "version": ("version", lambda text: integer(text, least=1, most=2**31 - 1)),
    "status": ("status", one_of(*TERMINAL)),
    "door": ("door", one_of("online", "queued")),
    "error_code": ("error_code", words),
    "q": ("error_text", words),
    "request_id": ("request_id", words),
    "text": ("text", words),
    "subject": ("subject", words),
    "since": ("since", moment),
    "until": ("until", moment),
    "min_ms": ("least_ms", number),
    "max_ms": ("most_ms", number),
}


def read(parameters: QueryDict, *, project: str, others: Iterable[str] = ()) -> Query:
    """The query of these parameters. Raises `InvalidParameters` naming every unknown, repeated or faulty one."""
    known = {*CONDITIONS, "value", "limit", "cursor", *others}
    faults: dict[str, list[str]] = {}
    fields: dict[str, Any] = {}
    for name in parameters:
        if name not in known:
            faults[name] = ["there is no such parameter"]
        elif name != "value" and len(parameters.getlist(name)) > 1:
            faults[name] = ["may be given once"]
        elif name in CONDITIONS:
            field, parse = CONDITIONS[name]
            _collect(faults, fields, name, field=field, parse=partial(parse, str(parameters[name])))
    _collect(faults, fields, "value", field="values", parse=partial(_ranges, parameters.getlist("value")))
    limit = partial(integer, str(parameters.get("limit", "50")), least=1, most=MOST_RECORDS)
    _collect(faults, fields, "limit", field="limit", parse=limit)
    if faults:
        raise InvalidParameters(faults)
    if "subject" in fields:
        fields["subject"] = privacy.subject_of(fields["subject"], project=project, key=settings.PRIVACY_KEY)
    return Query(project=project, cursor=parameters.get("cursor") or None, **fields)


def _ranges(texts: list[str]) -> tuple[Range, ...]:
    if len(texts) > MOST_RANGES:
        raise ValueError(f"at most {MOST_RANGES} value ranges fit into one search")
    return tuple(value_range(text) for text in texts)


def _collect(
    faults: dict[str, list[str]], fields: dict[str, Any], name: str, *, field: str, parse: Callable[[], Any]
) -> None:
    try:
        fields[field] = parse()
    except ValueError as error:
        faults[name] = [str(error)]
