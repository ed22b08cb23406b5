"""Where artefacts live: a folder of files named by their SHA-256, and the digest verified whenever one is opened.

An object store stands behind the same three verbs: `put` streams in, `local_path` answers with a verified local file,
`has` says whether the bytes are there.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import parse_qs, urlsplit

from models_registry import errors

_CHUNK = 1 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")

_INCOMING = ".incoming-"
#: Seconds after its last byte from which an incoming file is one that a killed process has left.
ABANDONED_S = 3600.0


class ArtifactStore(Protocol):
    """Content-addressed bytes. A digest is the SHA-256 of the bytes, 64 hexadecimal digits.

    Every verb may raise `Unavailable` where the bytes lie on another machine that is away.
    """

    def put(self, content: BinaryIO | bytes, *, limit: int) -> tuple[str, int]:
        """Store the bytes; return (digest, size in bytes). Raises `TooLarge` beyond `limit` bytes."""
        ...

    def local_path(self, digest: str) -> Path:
        """A local file holding exactly these bytes. Raises `NotFound`, or `Conflict` if they were changed."""
        ...

    def has(self, digest: str) -> bool: ...


class Folder:
    """Artefacts in a folder; a file appears whole or not at all, and survives a power loss once `put` returned."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, content: BinaryIO | bytes, *, limit: int) -> tuple[str, int]:
        with self.incoming(content, limit=limit) as (path, digest, size):
            self.keep(path, digest)
        return digest, size

    @contextmanager
    def incoming(self, content: BinaryIO | bytes, *, limit: int) -> Iterator[tuple[Path, str, int]]:
        """The bytes on disk under a passing name, with digest and size; gone afterwards unless kept."""
        self._root.mkdir(parents=True, exist_ok=True)
        self._remove_abandoned()
        handle, name = tempfile.mkstemp(dir=self._root, prefix=_INCOMING)
        try:
            with os.fdopen(handle, "wb") as file:
                digest, size = _copy(content, file, limit)
                file.flush()
                os.fsync(file.fileno())
            yield Path(name), digest, size
        finally:
            Path(name).unlink(missing_ok=True)

    def local_path(self, digest: str) -> Path:
        """See `ArtifactStore`; a shared folder that is not mounted is `Unavailable`."""
        path = self._path(digest)
        if not self._root.is_dir():
            raise errors.Unavailable("the folder of the artefacts is not there", retry_after=2)
        if not path.is_file():
            raise errors.NotFound(f"artefact {digest[:12]}… is not in the store")
        if _digest_of(path) != digest:
            raise errors.Conflict(f"artefact {digest[:12]}… was changed on disk and is not loaded")
        return path

    def has(self, digest: str) -> bool:
        return self._path(digest).is_file()

    def keep(self, incoming: Path, digest: str) -> None:
        """Give the file its name; the same bytes again replace themselves, which also mends a damaged copy."""
        path = self._path(digest)
        path.parent.mkdir(exist_ok=True)
        os.chmod(incoming, 0o444)
        os.replace(incoming, path)
        for folder in (path.parent, self._root):
            _sync_folder(folder)

    def _remove_abandoned(self) -> None:
        for path in self._root.glob(f"{_INCOMING}*"):
            # Another process may keep or remove its own meanwhile.
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > ABANDONED_S:
                    path.unlink()

    def _path(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise errors.NotFound("an artefact is named by 64 hexadecimal digits")
        return self._root / digest[:2] / digest


@dataclass(frozen=True, slots=True)
class Bucket:
    """A place in an S3-compatible store; `endpoint` and `region` are "" where the library's own are meant."""

    name: str
    prefix: str = ""
    endpoint: str = ""
    region: str = ""


def bucket_of(url: str) -> Bucket | None:
    """The bucket that an `s3://` URL names; None for a folder. Raises `ValueError` for what is neither."""
    if not url.startswith("s3://"):
        if "://" in url and not url.startswith("file://"):
            raise ValueError("artefacts live in a folder or under s3://bucket/prefix")
        return None
    parts = urlsplit(url)
    asked = parse_qs(parts.query, strict_parsing=bool(parts.query))
    if not parts.netloc or set(asked) - {"endpoint", "region"}:
        raise ValueError("write s3://bucket/prefix?endpoint=https://…&region=…")
    return Bucket(parts.netloc, parts.path.strip("/"), asked.get("endpoint", [""])[0], asked.get("region", [""])[0])


def open_store() -> ArtifactStore:
    """The store `ARTIFACT_URL` names: a path, a `file://` address of one, or a bucket."""
    from django.conf import settings

    bucket = bucket_of(settings.ARTIFACT_URL)
    if bucket is None:
        return Folder(Path(settings.ARTIFACT_URL.removeprefix("file://")))
    # Imported here: the library of the object store costs 30 MiB that a folder does without.
    from models_registry import object_store

    return object_store.opened(
        bucket,
        object_store.Access(settings.ARTIFACT_ACCESS_KEY, settings.ARTIFACT_SECRET_KEY, settings.ARTIFACT_CA_FILE),
        Path(settings.ARTIFACT_CACHE_DIR),
        settings.ARTIFACT_CACHE_LIMIT,
    )


def put(content: BinaryIO | bytes, *, limit: int | None = None) -> tuple[str, int]:
    """Store an artefact; return (digest, size). Raises `TooLarge` beyond `limit`, by default `UPLOAD_LIMIT`."""
    from django.conf import settings

    return open_store().put(content, limit=settings.SERVING["UPLOAD_LIMIT"] if limit is None else limit)


def local_path(digest: str) -> Path:
    """A verified local file of the artefact. Raises `NotFound`, or `Conflict` when its bytes were changed."""
    return open_store().local_path(digest)


def _copy(content: BinaryIO | bytes, file: BinaryIO, limit: int) -> tuple[str, int]:
    seen, size = hashlib.sha256(), 0
    for chunk in _chunks(content):
        size += len(chunk)
        if size > limit:
            raise errors.TooLarge(f"the file is larger than {limit} bytes", field="file")
        seen.update(chunk)
        file.write(chunk)
    return seen.hexdigest(), size


def _chunks(content: BinaryIO | bytes) -> Iterator[bytes]:
    if isinstance(content, bytes | bytearray | memoryview):
        yield bytes(content)
        return
    while chunk := content.read(_CHUNK):
        yield chunk


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
