"""What every artefact store keeps to: bytes under their digest, whole or not at all, never opened when changed."""

from __future__ import annotations

import hashlib
import io
import os
import threading
import time
from pathlib import Path

import pytest

from models_registry import errors
from models_registry.artifacts import ABANDONED_S, ArtifactStore

BUCKET, REGION, KEY, SECRET = "artifacts", "eu-central-1", "tests", "tests-secret"
LIMIT = 1 << 30


class ArtifactStoreContract:
    """`self.store` is an empty store, `self.folder` the local folder that its files are opened from."""

    store: ArtifactStore
    folder: Path

    @pytest.mark.parametrize("size", [0, 1, 3 << 20, 9 << 20])
    def test_bytes_come_back_under_their_digest(self, size):
        content = os.urandom(size)
        digest = hashlib.sha256(content).hexdigest()
        assert self.store.put(content, limit=LIMIT) == (digest, size)
        assert self.store.local_path(digest).read_bytes() == content
        assert self.store.has(digest)

    def test_a_stream_is_stored_like_its_bytes(self):
        content = os.urandom(100_000)
        digest, size = self.store.put(io.BytesIO(content), limit=LIMIT)
        assert (digest, size) == (hashlib.sha256(content).hexdigest(), 100_000)
        assert self.store.local_path(digest).read_bytes() == content

    def test_what_is_beyond_the_limit_is_refused_and_leaves_nothing(self):
        content = os.urandom(1000)
        with pytest.raises(errors.TooLarge):
            self.store.put(io.BytesIO(content), limit=999)
        assert not self.store.has(hashlib.sha256(content).hexdigest())
        assert files(self.folder) == []

    def test_what_a_killed_upload_has_left_goes_with_a_later_one(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        left, under_way = self.folder / ".incoming-left", self.folder / ".incoming-under-way"
        for path, age_s in ((left, ABANDONED_S + 60), (under_way, ABANDONED_S - 60)):
            path.write_bytes(b"half of an upl")
            os.utime(path, (time.time() - age_s,) * 2)
        digest, _ = self.store.put(b"whole", limit=LIMIT)
        assert {path.name for path in files(self.folder)} == {under_way.name, digest}

    @pytest.mark.parametrize("digest", ["0" * 64, "../../etc/passwd", "", "A" * 64])
    def test_what_is_no_known_digest_is_not_found(self, digest):
        self.store.put(b"another", limit=7)
        with pytest.raises(errors.NotFound):
            self.store.local_path(digest)

    def test_the_same_bytes_put_at_once_are_stored_once_and_whole(self):
        content = os.urandom(2 << 20)
        digest = hashlib.sha256(content).hexdigest()
        barrier, found = threading.Barrier(6), []

        def put() -> None:
            barrier.wait(10)
            self.store.put(io.BytesIO(content), limit=LIMIT)
            found.append(self.store.local_path(digest).read_bytes() == content)

        threads = [threading.Thread(target=put) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert found == [True] * 6
        assert [path.name for path in files(self.folder)] == [digest]

    def test_the_same_bytes_again_mend_a_damaged_copy(self):
        content = os.urandom(1000)
        digest, _ = self.store.put(content, limit=LIMIT)
        damage(self.store.local_path(digest))
        self.store.put(content, limit=LIMIT)
        assert self.store.local_path(digest).read_bytes() == content

    def test_a_cut_off_upload_leaves_nothing(self):
        with pytest.raises(ConnectionResetError):
            self.store.put(_Cut(os.urandom(3 << 20)), limit=LIMIT)
        assert files(self.folder) == []


class _Cut(io.BytesIO):
    """A stream that breaks off after its first read."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell():
            raise ConnectionResetError
        return super().read(size)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def damage(path: Path) -> None:
    """Flip the last byte of a stored file."""
    content = path.read_bytes()
    os.chmod(path, 0o644)
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
