"""Artefacts are named by their bytes, appear whole, and are never opened when their bytes were changed."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from pathlib import Path

import pytest

from models_registry import errors
from models_registry.artifacts import Folder

CONTENT = os.urandom(3 << 20)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "artifacts")


@pytest.mark.parametrize("content", [CONTENT, io.BytesIO(CONTENT)])
def test_bytes_come_back_under_their_digest(folder: Folder, content: bytes | io.BytesIO) -> None:
    assert folder.put(content, limit=1 << 30) == (DIGEST, len(CONTENT))
    assert folder.local_path(DIGEST).read_bytes() == CONTENT


def test_a_flipped_byte_refuses_the_load_and_a_new_upload_mends_it(folder: Folder) -> None:
    folder.put(CONTENT, limit=1 << 30)
    path = folder.local_path(DIGEST)
    os.chmod(path, 0o644)
    path.write_bytes(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
    with pytest.raises(errors.Conflict, match="changed on disk"):
        folder.local_path(DIGEST)
    folder.put(CONTENT, limit=1 << 30)
    assert folder.local_path(DIGEST).read_bytes() == CONTENT


def test_two_swapped_files_are_both_refused(folder: Folder) -> None:
    first, second = folder.put(b"one", limit=10)[0], folder.put(b"two", limit=10)[0]
    one, two = folder.local_path(first), folder.local_path(second)
    middle = one.with_name("middle")
    one.rename(middle)
    two.rename(one)
    middle.rename(two)
    for digest in (first, second):
        with pytest.raises(errors.Conflict):
            folder.local_path(digest)


def test_a_file_beyond_the_limit_is_refused_and_leaves_nothing(folder: Folder, tmp_path: Path) -> None:
    with pytest.raises(errors.TooLarge):
        folder.put(io.BytesIO(CONTENT), limit=len(CONTENT) - 1)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("digest", ["0" * 64, "../../etc/passwd", "", DIGEST.upper()])
def test_what_is_no_known_digest_is_not_found(folder: Folder, digest: str) -> None:
    folder.put(b"another", limit=7)
    with pytest.raises(errors.NotFound):
        folder.local_path(digest)


def test_a_folder_that_is_not_mounted_is_away_and_says_nothing_of_its_artefacts(folder: Folder) -> None:
    with pytest.raises(errors.Unavailable):
        folder.local_path(DIGEST)


def test_a_cut_off_upload_leaves_nothing(folder: Folder, tmp_path: Path) -> None:
    class Cut(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell():
                raise ConnectionResetError
            return super().read(size)

    with pytest.raises(ConnectionResetError):
        folder.put(Cut(CONTENT), limit=1 << 30)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_readers_never_see_half_a_file_while_others_write_it(folder: Folder) -> None:
    folder.put(CONTENT, limit=1 << 30)
    failures: list[BaseException] = []

    def write() -> None:
        for _ in range(5):
            folder.put(CONTENT, limit=1 << 30)

    def read() -> None:
        try:
            for _ in range(20):
                folder.local_path(DIGEST)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for work in (write, write, read, read)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
