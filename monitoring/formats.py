"""Records as JSON lines, CSV or Parquet: documents in, pieces of a file out, with a bounded number in memory."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import orjson

from monitoring import documents
from monitoring.records import Record

FORMATS = ("jsonl", "csv", "parquet")
MEDIA_TYPES = {
    "jsonl": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}
COLUMNS = Record.__struct_fields__

#: A piece ends with so many records, or with so many bytes of their inputs and outputs.
PIECE_RECORDS = 2_000
PIECE_BYTES = 8 * 2**20
#: What a spreadsheet takes for the beginning of a formula: these texts are a client's own.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NESTED = ("inputs", "outputs", "values")
_TIMES = ("accepted_at", "completed_at")
_TYPES = {"int": "int64", "float": "float64", "bool": "bool", "datetime": "timestamp"}


def pieces(found: Iterable[dict[str, Any]], form: str) -> Iterator[bytes]:
    """The file of these documents. A document's `values` and nested fields are JSON text in CSV and Parquet."""
    writer = {"jsonl": _jsonl, "csv": _csv, "parquet": _parquet}[form]
    yield from writer(found)


def _jsonl(found: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    lines: list[bytes] = []
    octets = 0
    for document in found:
        lines.append(_line(document))
        octets += len(lines[-1])
        if len(lines) >= PIECE_RECORDS or octets >= PIECE_BYTES:
            yield b"".join(lines)
            lines, octets = [], 0
    if lines:
        yield b"".join(lines)


def _line(document: dict[str, Any]) -> bytes:
    plain = {name: document[name] for name in COLUMNS if name in document}
    try:
        return orjson.dumps(plain, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # integers beyond 64 bits, lone surrogates
        return documents.encode(plain) + b"\n"


def _groups(found: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    octets = 0
    for document in found:
        encoded = {name: documents.encode(document[name]) for name in _NESTED if document.get(name) is not None}
        octets += sum(len(text) for text in encoded.values())
        group.append({**document, "encoded": encoded})
        if len(group) >= PIECE_RECORDS or octets >= PIECE_BYTES:
            yield group
            group, octets = [], 0
    if group:
        yield group


def _csv(found: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for group in _groups(found):
        writer.writerows([_cell(document, name) for name in COLUMNS] for document in group)
        yield text.getvalue().encode("utf-8", "replace")
        text.seek(0)
        text.truncate()
    yield text.getvalue().encode("utf-8", "replace")


def _cell(document: dict[str, Any], name: str) -> Any:
    if name in _NESTED:
        return document["encoded"].get(name, b"").decode()
    value = document.get(name)
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _parquet(found: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    # Imported by an export alone: it takes 40 MB and a quarter of a second.
    import pyarrow
    import pyarrow.parquet

    schema = pyarrow.schema([(name, _arrow(pyarrow, kind)) for name, kind in Record.__annotations__.items()])
    sink = _Sink()
    with pyarrow.parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
        for group in _groups(found):
            rows = {name: [_value(document, name) for document in group] for name in COLUMNS}
            writer.write_table(pyarrow.Table.from_pydict(rows, schema=schema))
            yield sink.take()
    yield sink.take()


def _arrow(pyarrow: Any, annotation: str) -> Any:
    kind = _TYPES.get(annotation, "string")
    return (
        pyarrow.timestamp("us", tz="UTC") if kind == "timestamp" else getattr(pyarrow, kind.replace("bool", "bool_"))()
    )


def _value(document: dict[str, Any], name: str) -> Any:
    if name in _NESTED:
        return document["encoded"][name].decode("utf-8", "replace") if name in document["encoded"] else None
    value = document.get(name)
    if name in _TIMES and isinstance(value, str):
        return datetime.fromisoformat(value)
    # Parquet takes no lone surrogate.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) and not value.isascii() else value


class _Sink(io.RawIOBase):
    """What Parquet's writer writes into; `take` hands over what is there and forgets it."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._position += len(part)
        return len(part)

    def tell(self) -> int:
        return self._position

    def take(self) -> bytes:
        taken, self._parts = b"".join(self._parts), []
        return taken
