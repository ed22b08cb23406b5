"""Files of records hold a bounded number of them in memory, however many there are."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from monitoring import documents, formats
from tests.contracts.record_store import a_record

FORMS = pytest.mark.parametrize("form", formats.FORMATS)


def made(count: int) -> Iterator[dict[str, Any]]:
    first = documents.to_document(a_record())
    chance = random.Random(7)
    for number in range(count):
        # Nothing that a compressed file would hold in a few bytes.
        yield {**first, "request_id": f"r-{number}", "inputs": {"input": [[number, chance.randbytes(200).hex()]]}}


def most_held(form: str, count: int) -> int:
    """Most bytes of Python's at any time while the file of so many records is made and thrown away."""
    tracemalloc.start()
    try:
        for _ in formats.pieces(made(count), form):
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@FORMS
def test_ten_times_the_records_take_no_more_memory(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "PIECE_RECORDS", 100)
    most_held(form, 200)  # what is imported and remembered once
    assert most_held(form, 4000) < 1.3 * most_held(form, 400)


@FORMS
def test_a_piece_ends_with_so_many_bytes_too(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    few = len(list(formats.pieces(made(100), form)))
    monkeypatch.setattr(formats, "PIECE_BYTES", 1000)
    assert len(list(formats.pieces(made(100), form))) > few + 10
