"""Files that are no models, or that would do something when opened: (name, bytes)."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import marshal
import pickle
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np


class Canary:
    """Unpickling it makes a file: proof that something was opened that never may be."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


def pickles(canary: Path) -> Iterator[tuple[str, bytes]]:  # long: a list
    """Pickles of every protocol, bare, compressed and inside other formats."""
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        yield f"pickle of protocol {protocol}", pickle.dumps(Canary(canary), protocol)
    bare = pickle.dumps(Canary(canary))
    for name, compress in {
        "gzip": gzip.compress,
        "bz2": bz2.compress,
        "xz": lzma.compress,
        "zlib": zlib.compress,
    }.items():
        yield f"pickle in {name}", compress(bare)
    yield "pickle in raw lzma", lzma.compress(bare, lzma.FORMAT_ALONE)
    yield "pickle in lz4's clothes", b"\x04\x22\x4d\x18" + bare
    yield "pickle after blanks", b" " * 100 + bare
    yield "pickle after an ONNX head", b"\x08\x08" + bare
    yield "pickle with a zip behind", bare + zipped({"schema.json": b"{}"})
    yield "text pickle", f"c__builtin__\nopen\n(S'{canary}'\nS'w'\ntR.".encode()
    array = io.BytesIO()
    np.save(array, np.array([Canary(canary)], dtype=object), allow_pickle=True)
    yield "object array", array.getvalue()
    for name in ("model.pkl", "archive/data.pkl", "0.pickle", "x.joblib"):
        yield f"zip of {name}", zipped({name: bare})
        yield f"skops with {name}", zipped({"schema.json": b"{}", name: bare})
    yield "marshal", marshal.dumps(compile("open", "x", "eval"))
    yield "skops with an object array", zipped({"schema.json": schema(_array("0.npy")), "0.npy": array.getvalue()})


def others() -> Iterator[tuple[str, bytes]]:  # long: a list
    """Files of other kinds, whatever their name says."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("../../x"))
    yield "tar", tar.getvalue()
    yield from {
        "empty": b"",
        "one byte": b"\x08",
        "blanks": b" " * 1000,
        "HDF5": b"\x89HDF\r\n\x1a\n" + b"\0" * 500,
        "7z": b"7z\xbc\xaf\x27\x1c" + b"\0" * 100,
        "rar": b"Rar!\x1a\x07\x01\x00" + b"\0" * 100,
        "ELF": b"\x7fELF\x02\x01\x01" + b"\0" * 100,
        "script": b"#!/bin/sh\ntouch /tmp/x\n",
        "JSON": b'{"learner": {}}',
        "XML": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
        "YAML": b"!!python/object/apply:os.system ['id']",
        "PNG": b"\x89PNG\r\n\x1a\n" + b"\0" * 100,
        "PDF": b"%PDF-1.7\n",
        "Java": b"\xac\xed\x00\x05sr\x00",
        "numbers": np.arange(9).tobytes(),
        "HTML": b"<!doctype html><title>404</title>",
        "a pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    }.items()


def archives(good: bytes) -> Iterator[tuple[str, bytes]]:  # long: a list
    """Zip files that lie; `good` is a real skops file."""
    for cut in (10, 30, len(good) // 2, len(good) - 100, len(good) - 1):
        yield f"cut off after {cut}", good[:cut]
    for name in (
        "../x",
        "/etc/x",
        "a/../../x",
        "C:\\x",
        "..\\x",
        "x\x00.npy",
        "schema.json/",
        "é.npy",
        "0.npy ",
        "0.exe",
        "1e1.npy",
    ):
        yield f"with an entry {name!r}", added(good, name, b"x")
    yield "schema.json twice", added(good, "schema.json", b"{}")
    yield "names that differ in case", added(good, "SCHEMA.JSON", b"{}")
    yield "no schema.json", zipped({"0.npy": b"x"})
    yield "no entries", zipped({})
    yield "a bomb", added(good, "99.npy", b"\0" * (40 * 2**20))
    yield "a bomb in schema.json", zipped({"schema.json": b"[" * (20 * 2**20)})
    yield (
        "60,000 entries",
        zipped({"schema.json": b"{}"} | {f"{i}.npy": b"" for i in range(60_000)}, zipfile.ZIP_STORED),
    )
    yield "a number of entries that lies", _patched(good, entries=3)
    yield "a directory beyond the end", _patched(good, offset=2**31)
    yield "encrypted", _flagged(good)
    yield "a wrong sum", _corrupted(good)
    yield "zip posing as skops", zipped({"schema.json": b"not json"})
    for name, content in {
        "null": b"null",
        "a list": b"[]",
        "deep": b"[" * 100_000 + b"]" * 100_000,
        "no loader": b'{"__class__": "x"}',
        "bad UTF-8": b"\xff\xfe",
    }.items():
        yield f"schema of {name}", zipped({"schema.json": content})
    for module, function in (
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("subprocess", "Popen"),
        ("joblib", "load"),
    ):
        for loader in ("FunctionNode", "TypeNode", "ObjectNode", "MethodNode", "ReduceNode", "JsonNode", "NoSuchNode"):
            if (module, loader) in {("os", "FunctionNode"), ("builtins", "ObjectNode")} or module == "posix":
                state = {
                    "__class__": function,
                    "__module__": module,
                    "__loader__": loader,
                    "content": "id",
                    "__id__": 1,
                }
                yield f"schema with {module}.{function} by {loader}", zipped({"schema.json": schema(state)})


def zipped(entries: Any, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of name → bytes, or of pairs when a name comes twice."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", method) as archive:
        warnings.simplefilter("ignore")
        for name, content in entries.items() if isinstance(entries, dict) else entries:
            info = zipfile.ZipInfo("x")
            info.filename = name  # as given: the constructor would mend it
            archive.writestr(info, content, method)
    return buffer.getvalue()


def added(good: bytes, name: str, content: bytes) -> bytes:
    """A real skops file with one entry more: nothing but that entry is a reason to refuse it."""
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        entries = [(info.filename, archive.read(info)) for info in archive.infolist()]
    return zipped([*entries, (name, content)])


def schema(state: dict[str, Any]) -> bytes:
    return json.dumps({**state, "protocol": 2, "_skops_version": "0.16"}).encode()


def _array(file: str) -> dict[str, Any]:
    return {
        "__class__": "ndarray",
        "__module__": "numpy",
        "__loader__": "NdArrayNode",
        "type": "numpy",
        "file": file,
        "__id__": 1,
    }


def _patched(good: bytes, *, entries: int | None = None, offset: int | None = None) -> bytes:
    changed = bytearray(good)
    end = changed.rfind(b"PK\x05\x06")
    if entries is not None:
        struct.pack_into("<HH", changed, end + 8, entries, entries)
    if offset is not None:
        struct.pack_into("<I", changed, end + 16, offset)
    return bytes(changed)


def _flagged(good: bytes) -> bytes:
    changed = bytearray(good)
    at = changed.find(b"PK\x01\x02")
    changed[at + 8] |= 1
    return bytes(changed)


def _corrupted(good: bytes) -> bytes:
    changed = bytearray(good)
    at = changed.find(b"PK\x03\x04") + 30 + 20
    for offset in range(at, min(at + 40, len(changed))):
        changed[offset] ^= 0xFF
    return bytes(changed)
