"""What a file is, by its bytes: code is refused unopened, whatever it is called."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import marshal
import os
import pickle
import pickletools
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from models_registry import errors
from models_registry.publishing import archives, formats
from tests import cast


class Canary:
    """Unpickling this leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def zipped(entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def arrays(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values, allow_pickle=True)
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("../../etc/passwd"))
    return file.getvalue()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("packed", [bytes, gzip.compress, bz2.compress, lzma.compress, zlib.compress])
def test_a_pickle_is_refused_unopened(tmp_path: Path, protocol: int, packed: object) -> None:
    content = packed(pickle.dumps(Canary(tmp_path / "canary"), protocol))
    with pytest.raises(errors.FormatNotAllowed, match=r"skops\.io\.dump"):
        formats.recognise(io.BytesIO(content))
    assert not (tmp_path / "canary").exists()


def test_the_canary_would_have_sung(tmp_path: Path) -> None:
    content = pickle.dumps(Canary(tmp_path / "canary"))
    assert pickletools.optimize(content)
    pickle.loads(content)
    assert (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK",
        b"PK\x05\x06" + bytes(18),
        b"\x89HDF\r\n\x1a\n" + bytes(100),
        b"7z\xbc\xaf\x27\x1c" + bytes(100),
        marshal.dumps(compile("1", "x", "eval")),
        arrays(np.array([{"a": 1}], dtype=object)),
        arrays(np.ones(3)),
        tarred(),
        b"<html>not found</html>",
        b"\x08",
        zipped({"archive/data.pkl": pickle.dumps(1), "archive/version": b"3"}),
        zipped({"schema.json": b"{}", "model.pkl": pickle.dumps(1)}),
        zipped({"config.json": b"{}", "model.weights.h5": b"\x89HDF"}),
        zipped({"../../etc/passwd": b"x"}),
        pickle.dumps(1) + zipped({"schema.json": b"{}"}),
        zipped({"schema.json": b"{}"})[:-30],
        b"PK\x03\x04" + bytes(100_000),
    ],
)
def test_what_is_neither_skops_nor_onnx_is_refused(content: bytes) -> None:
    with pytest.raises(errors.FormatNotAllowed):
        formats.recognise(io.BytesIO(content))


def test_the_name_of_a_format_comes_from_the_bytes() -> None:
    assert formats.recognise(io.BytesIO(cast.adder().model)) == "onnx"
    assert formats.recognise(io.BytesIO(zipped({"schema.json": b"{}", "1.npy": b""}))) == "skops"


def test_a_directory_of_a_million_entries_is_not_read() -> None:
    honest = zipped({"schema.json": b"{}"})
    at = honest.rindex(b"PK\x05\x06")
    content = honest[: at + 8] + b"\xff\xff\xff\xff" + honest[at + 12 :]
    with pytest.raises(errors.FormatNotAllowed, match="entries"):
        formats.recognise(io.BytesIO(content))


def test_recognising_leaves_the_file_at_its_start() -> None:
    file = io.BytesIO(zipped({"schema.json": b"{}"}))
    formats.recognise(file)
    assert file.tell() == 0


@pytest.mark.parametrize(
    ("entries", "kind"),
    [
        ({"schema.json": b"{}", "../1.npy": b""}, errors.FormatNotAllowed),
        ({"schema.json": b"{}", "/1.npy": b""}, errors.FormatNotAllowed),
        ({"schema.json": b"{}", "nested.zip": b""}, errors.FormatNotAllowed),
        ({"1.npy": b""}, errors.FormatNotAllowed),
        ({"schema.json": b"{}", "1.npy": bytes(50_000_000)}, errors.TooLarge),
    ],
)
def test_archives_with_foreign_entries_or_bombs_are_refused(
    tmp_path: Path, entries: dict[str, bytes], kind: type[errors.DomainError]
) -> None:
    path = tmp_path / "model.skops"
    path.write_bytes(zipped(entries, zipfile.ZIP_DEFLATED))
    with pytest.raises(kind):
        archives.check(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_entry_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    with zipfile.ZipFile(path, "w") as archive:
        for _ in range(2):
            archive.writestr("schema.json", b"{}")
    with pytest.raises(errors.FormatNotAllowed, match="twice"):
        archives.check(path)


def test_an_encrypted_entry_is_refused(tmp_path: Path) -> None:
    content = bytearray(zipped({"schema.json": b"{}"}))
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path = tmp_path / "model.skops"
    path.write_bytes(content)
    with pytest.raises(errors.FormatNotAllowed):
        archives.check(path)


def test_overlapping_entries_are_refused(tmp_path: Path) -> None:
    """The overlap bomb: many directory entries share the bytes of one."""
    honest = zipped({f"{number}.npy": bytes(1000) for number in range(9)} | {"schema.json": b"{}"})
    start, end = honest.index(b"PK\x01\x02"), honest.rindex(b"PK\x05\x06")
    body = honest[:1100]  # only the first entry's bytes; the directory still claims all ten
    moved = bytearray(honest[end:])
    moved[16:20] = len(body).to_bytes(4, "little")
    path = tmp_path / "model.skops"
    path.write_bytes(body + honest[start:end] + bytes(moved))
    with pytest.raises(errors.DomainError):
        archives.check(path)
