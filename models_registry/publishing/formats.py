"""What a file is, judged by its bytes and never by its name; nothing is unpacked or unpickled to find out."""

from __future__ import annotations

import struct
from typing import BinaryIO

from models_registry.errors import FormatNotAllowed

SKOPS = "skops"
ONNX = "onnx"

HOW_TO_EXPORT = """Only .skops and .onnx are taken. Export the model so that it is data, not code:

    import skops.io
    skops.io.dump(model, "model.skops")

or compiled:

    from skl2onnx import to_onnx
    onnx = to_onnx(model, X[:1].astype("float32"), options={"zipmap": False})
    open("model.onnx", "wb").write(onnx.SerializeToString())"""

#: First bytes of what is refused by name, because loading it would run code or it is another library's.
_KNOWN = (
    (b"\x1f\x8b", "a gzip file (joblib compresses pickles so)"),
    (b"BZh", "a bzip2 file (joblib compresses pickles so)"),
    (b"\xfd7zXZ", "an xz file (joblib compresses pickles so)"),
    (b"\x04\x22\x4d\x18", "an lz4 file (joblib compresses pickles so)"),
    (b"x\x01", "a zlib stream (joblib compresses pickles so)"),
    (b"x\x9c", "a zlib stream (joblib compresses pickles so)"),
    (b"x\xda", "a zlib stream (joblib compresses pickles so)"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"\x89HDF", "an HDF5 file (Keras .h5)"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"ustar", "a tar archive"),
)

#: More entries than any sensible model has; the directory is not even read beyond it.
MAX_ENTRIES = 50_000
_MAX_DIRECTORY = 16 * 2**20
_END = struct.Struct("<4s4H2LH")


def recognise(file: BinaryIO) -> str:
    """Return `skops` or `onnx`; leaves the file at its start. Raises `FormatNotAllowed` saying how to export."""
    file.seek(0)
    head = file.read(512)
    try:
        if head.startswith(b"PK\x03\x04"):
            _check_names(file)
            return SKOPS
        if len(head) > 2 and head[0] == 0x08 and 1 <= head[1] <= 32:  # ModelProto, field 1: its IR version
            return ONNX
    finally:
        file.seek(0)
    raise FormatNotAllowed(f"The file is {_name_of(head)}. {HOW_TO_EXPORT}", field="file")


def _name_of(head: bytes) -> str:
    if not head:
        return "empty"
    if _looks_pickled(head):
        return "a pickle (joblib and torch write them too), which is never opened: opening it runs the code it holds"
    if head[257:262] == b"ustar":
        return "a tar archive"
    if head.startswith(b"PK"):
        return "an empty or split zip archive"
    for magic, name in _KNOWN:
        if head.startswith(magic):
            return name
    return "neither a skops nor an ONNX file"


def _looks_pickled(head: bytes) -> bool:
    return (head[0] == 0x80 and len(head) > 1 and head[1] <= 5) or head[:1] in b"(c]}" or head.startswith(b"\x80")


def _check_names(file: BinaryIO) -> None:
    """A skops file is a zip with `schema.json` beside arrays; any other zip is refused by what its directory lists."""
    names = list_names(file)
    if any(name.endswith((".pkl", ".pickle", ".joblib")) for name in names):
        raise FormatNotAllowed(
            f"The file is a zip archive that holds a pickle, which is never opened. {HOW_TO_EXPORT}", field="file"
        )
    if "schema.json" not in names:
        raise FormatNotAllowed(f"The file is a zip archive, but not a skops file. {HOW_TO_EXPORT}", field="file")


def list_names(file: BinaryIO) -> list[str]:
    """Names in a zip's directory, read by hand so that a huge directory costs nothing.

    Raises `FormatNotAllowed` when it is damaged, of the 64-bit kind, or lists more than `MAX_ENTRIES`.
    """
    file.seek(0, 2)
    length = file.tell()
    tail_start = max(0, length - 65_557)
    file.seek(tail_start)
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        raise FormatNotAllowed("The zip archive is cut off or damaged: export and upload it again.", field="file")
    _, disk, _, _, entries, size, offset, _ = _END.unpack_from(tail, at)
    if disk or entries > MAX_ENTRIES or size > _MAX_DIRECTORY or offset + size > length:
        raise FormatNotAllowed(
            f"The zip archive has more than {MAX_ENTRIES} entries, or a directory that does not fit.", field="file"
        )
    file.seek(offset)
    return _parse(file.read(size), entries)


def _parse(directory: bytes, entries: int) -> list[str]:
    names, at = [], 0
    for _ in range(entries):
        if directory[at : at + 4] != b"PK\x01\x02" or len(directory) < at + 46:
            raise FormatNotAllowed("The zip archive's directory is damaged.", field="file")
        name, extra, comment = struct.unpack_from("<3H", directory, at + 28)
        names.append(directory[at + 46 : at + 46 + name].decode("utf-8", "replace"))
        at += 46 + name + extra + comment
    return names
