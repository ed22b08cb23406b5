"""The zip around a skops file: caps on entries, sizes and ratio, before anything in it is read."""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path

from models_registry.errors import FormatNotAllowed, InvalidInput, TooLarge
from models_registry.publishing import formats

#: Most bytes of all entries together, and how much larger than the file they may be.
MAX_CONTENT = 2**30
MAX_RATIO = 100
MAX_SCHEMA = 128 * 2**20

_NAME = re.compile(r"schema\.json|[0-9]+\.(npy|npz)")
_ENCRYPTED = 0x1


def check(path: Path) -> str:
    """Check a skops file's zip; return a sentence for the report.

    Raises `FormatNotAllowed` for entries no skops file has, `TooLarge` beyond the caps, `InvalidInput` if damaged.
    """
    with path.open("rb") as file:
        formats.list_names(file)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            _check_names(entries)
            sentence = _check_sizes(entries, path.stat().st_size)
            # Readers that stop at an array's last byte never compare the checksum behind it.
            damaged = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError, EOFError) as error:
        raise InvalidInput(f"the zip archive is damaged: {error}", field="file") from error
    if damaged is not None:
        raise InvalidInput(f"the zip archive is damaged: wrong CRC of {damaged}", field="file")
    return sentence


def _check_names(entries: list[zipfile.ZipInfo]) -> None:
    seen: set[str] = set()
    for entry in entries:
        if not _NAME.fullmatch(entry.filename) or entry.flag_bits & _ENCRYPTED:
            raise FormatNotAllowed(f"a skops file has no entry {entry.filename[:80]!r}", field="file")
        if entry.filename in seen:
            raise FormatNotAllowed(f"the entry {entry.filename!r} is there twice", field="file")
        seen.add(entry.filename)
    if "schema.json" not in seen:
        raise FormatNotAllowed("the zip archive has no schema.json: it is not a skops file", field="file")


def _check_sizes(entries: list[zipfile.ZipInfo], size: int) -> str:
    content = sum(entry.file_size for entry in entries)
    packed = sum(entry.compress_size for entry in entries)
    if packed > size:
        raise TooLarge("entries of the archive overlap", field="file")
    if content > MAX_CONTENT or content > MAX_RATIO * size:
        raise TooLarge(f"the archive unpacks to {content} bytes from {size}", field="file")
    schema = next(entry for entry in entries if entry.filename == "schema.json")
    if schema.file_size > MAX_SCHEMA:
        raise TooLarge(f"schema.json is larger than {MAX_SCHEMA} bytes", field="file")
    return f"{len(entries)} entries, {content} bytes unpacked"
