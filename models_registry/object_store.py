"""Artefacts in an S3-compatible store, and on the local disk whatever was opened once: the one home of django-storages.

A version that this host has opened before, and not dropped since, opens while the store is away. What has to be asked
of the store answers within 3 s, if only with `Unavailable`: one attempt, 1 s to connect, 1.5 s of silence; an upload
waits 1 s more for the store to let it in.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.core.files.base import File
from storages.backends.s3 import S3Storage
from urllib3.exceptions import HTTPError

from models_registry import errors
from models_registry.artifact_cache import ArtifactCache
from models_registry.artifacts import Bucket

logger = logging.getLogger(__name__)

CONNECT_S = 1
SILENCE_S = 1.5
#: Seconds before an upload that the store failed is sent once more.
AGAIN_S = 0.3
#: What a caller is told to wait before it tries again, seconds.
RETRY_AFTER_S = 5
#: A download beyond this size goes through the disk.
MEMORY_OCTETS = 8 * 2**20


@dataclass(frozen=True, slots=True)
class Access:
    """Credentials ("" for those the host offers) and the file of certificates the store's own is checked by."""

    key: str = ""
    secret: str = field(default="", repr=False)
    ca_file: str = ""


class ObjectStore:
    """Content-addressed bytes in a bucket, with a verified cache in a folder."""

    def __init__(self, bucket: Bucket, access: Access, cache: ArtifactCache) -> None:
        self._storage = _storage(bucket, access)
        self._cache = cache
        #: One upload at a time: the same bytes sent at once are refused by some stores, and nobody waits for uploads.
        self._uploading = threading.Lock()

    def put(self, content: BinaryIO | bytes, *, limit: int) -> tuple[str, int]:
        """Store the bytes, in the bucket first; the same bytes again replace themselves, which mends a damaged copy."""
        with self._cache.incoming(content, limit=limit) as (path, digest, size):
            with _asking("stored"), self._uploading:
                self._upload(path, digest)
            self._cache.keep(path, digest)
        return digest, size

    def local_path(self, digest: str) -> Path:
        """The cached file, fetched first where it is missing or its bytes were changed."""
        if self._cache.has(digest):
            try:
                return self._cache.local_path(digest)
            except (errors.Conflict, errors.NotFound) as error:  # not found: dropped by another process just now
                logger.warning(
                    "the local copy of artefact %s is fetched again: %s",
                    digest,
                    error,
                    extra={"action": "artifact_cache_damaged"},
                )
        self._fetch(digest)
        return self._cache.local_path(digest)

    def has(self, digest: str) -> bool:
        """Asked of the store; while it is away, of the cache."""
        is_cached = self._cache.has(digest)
        try:
            with _asking("looked for"):
                # Not `exists`: that makes a client of its own for each thread.
                self._storage.open(_name(digest), "rb").close()
            return True
        except FileNotFoundError:
            return False
        except errors.Unavailable:
            if is_cached:
                return True
            raise

    def _upload(self, path: Path, digest: str) -> None:
        """Send the file; once more when the store answered that it failed, which stores do now and then."""
        for pause_s in (AGAIN_S, 0.0):
            try:
                with path.open("rb") as file:
                    self._storage.save(_name(digest), File(file))
            except ClientError as error:
                if not pause_s or error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                    raise
                time.sleep(pause_s)
            else:
                return

    def _fetch(self, digest: str) -> None:
        try:
            with _asking("fetched"), self._storage.open(_name(digest), "rb") as file:
                limit = int(file.size)
                with self._cache.incoming(file, limit=limit) as (path, found, _):
                    if found != digest:
                        raise errors.Conflict(f"artefact {digest[:12]}… was changed in the store and is not loaded")
                    self._cache.keep(path, digest)
        except FileNotFoundError:
            raise errors.NotFound(f"artefact {digest[:12]}… is not in the store") from None


@functools.cache
def opened(bucket: Bucket, access: Access, cache: Path, limit: int) -> ObjectStore:
    """The store of this process: its connections are kept; `limit` bounds the bytes of its cache."""
    return ObjectStore(bucket, access, ArtifactCache(cache, limit=limit))


def _storage(bucket: Bucket, access: Access) -> S3Storage:
    own = {"access_key": access.key, "secret_key": access.secret} if access.key else {}
    return S3Storage(
        **own,
        bucket_name=bucket.name,
        location=bucket.prefix,
        endpoint_url=bucket.endpoint or None,
        region_name=bucket.region or None,
        verify=access.ca_file or None,
        # Named by content: the same name is the same bytes.
        file_overwrite=True,
        max_memory_size=MEMORY_OCTETS,
        # No threads of its own and no second attempt: the caller's limit is the one that counts.
        transfer_config=TransferConfig(use_threads=False, num_download_attempts=1),
        client_config=Config(
            connect_timeout=CONNECT_S,
            read_timeout=SILENCE_S,
            retries={"total_max_attempts": 1},
            # A store at an address of its own seldom has a host name for each bucket.
            s3={"addressing_style": "path" if bucket.endpoint else "auto"},
            # Stores that only speak like S3 refuse its newer checksums; the digest is checked here anyway.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def _name(digest: str) -> str:
    return f"{digest[:2]}/{digest}"


@contextmanager
def _asking(what: str) -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError, Boto3Error, HTTPError) as error:
        logger.warning("an artefact was not %s: %s", what, error, extra={"action": "artifact_store_away"})
        raise errors.Unavailable(
            f"the artefact was not {what}: the artefact store does not answer as it should", retry_after=RETRY_AFTER_S
        ) from error
