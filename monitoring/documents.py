"""A record as JSON: what the store keeps, what the API answers, and the hash that tells a repeat from a conflict."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import orjson

from monitoring.records import Record, Value


def to_document(record: Record) -> dict[str, Any]:
    """Every field of the record under its own name: ids as text, times as ISO 8601 in UTC, values without nulls."""
    document = _plain(record)
    document["id"] = str(record.id)
    document["version_id"] = str(record.version_id)
    document["accepted_at"] = record.accepted_at.isoformat()
    document["completed_at"] = record.completed_at.isoformat()
    return document


def encode_record(record: Record) -> bytes:
    """The same bytes as `encode(to_document(record))`: ids and times are written by the encoder itself."""
    try:
        return orjson.dumps(_plain(record), option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return encode(to_document(record))


def _plain(record: Record) -> dict[str, Any]:
    document = msgspec.structs.asdict(record)
    document["values"] = [
        {"side": value.side, "name": value.name, "number": value.number}
        if value.number is not None
        else {"side": value.side, "name": value.name, "text": value.text}
        for value in record.values
    ]
    return document


def from_document(document: dict[str, Any]) -> Record:
    """The record again. Raises `KeyError`, `TypeError` or `ValueError` when it is no record's document."""
    return Record(
        **{
            **document,
            "id": UUID(document["id"]),
            "version_id": UUID(document["version_id"]),
            "accepted_at": datetime.fromisoformat(document["accepted_at"]),
            "completed_at": datetime.fromisoformat(document["completed_at"]),
            "values": tuple(Value(**value) for value in document["values"]),
        }
    )


def encode(document: dict[str, Any]) -> bytes:
    """Canonical bytes: the same record gives the same bytes in every process and at every repeat."""
    try:
        return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # integers beyond 64 bits, lone surrogates: legal in JSON, unknown to orjson
        return json.dumps(document, sort_keys=True, separators=(",", ":"), default=str).encode()


def decode(encoded: bytes) -> dict[str, Any]:
    document: dict[str, Any] = parse(encoded)
    return document


def parse(encoded: bytes) -> Any:
    """The JSON value, whole numbers of any size exactly (orjson makes floats of large ones). Raises `ValueError`."""
    try:
        return msgspec.json.decode(encoded)
    except msgspec.DecodeError:  # lone surrogates, NaN: what `encode` wrote without orjson
        return json.loads(encoded)


def content_hash(encoded: bytes) -> str:
    return hashlib.sha256(encoded).hexdigest()
