"""A folder and an S3-compatible server against the contract, and what only a store elsewhere can show."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from models_registry import errors, publishing
from models_registry.artifact_cache import SPARED_S, ArtifactCache
from models_registry.artifacts import Folder, bucket_of
from models_registry.models import Project, RegisteredModel
from models_registry.object_store import Access, ObjectStore
from monitoring.ids import mint
from serving_site.stack.server import Server, free_port
from tests import cast
from tests.contracts.artifacts import BUCKET, KEY, LIMIT, REGION, SECRET, ArtifactStoreContract, damage, files
from tests.services import freeze, thaw

#: Seconds in which a store that is away must have been found so.
AWAY_S = 3.0


def a_store(endpoint: str, cache: Path, prefix: str = "models", *, cached: int = LIMIT) -> ObjectStore:
    bucket = bucket_of(f"s3://{BUCKET}/{prefix}?endpoint={endpoint}&region={REGION}")
    assert bucket is not None
    return ObjectStore(bucket, Access(KEY, SECRET), ArtifactCache(cache, limit=cached))


def opened_long_ago(path: Path, *, ago_s: float) -> None:
    os.utime(path, (time.time() - ago_s,) * 2)


class TestFolder(ArtifactStoreContract):
    @pytest.fixture(autouse=True)
    def _open(self, tmp_path):
        self.folder = tmp_path / "artifacts"
        self.store = Folder(self.folder)

    def test_a_changed_file_is_refused(self):
        digest, _ = self.store.put(b"some bytes", limit=LIMIT)
        damage(self.store.local_path(digest))
        with pytest.raises(errors.Conflict):
            self.store.local_path(digest)


class TestObjectStore(ArtifactStoreContract):
    @pytest.fixture(autouse=True)
    def _open(self, object_store, tmp_path):
        self.endpoint, self.prefix = object_store.url, f"models/{mint().hex}"
        self.folder = tmp_path / "cache"
        self.store = a_store(object_store.url, self.folder, self.prefix)

    def another_host(self, folder: Path) -> ObjectStore:
        return a_store(self.endpoint, folder, self.prefix)

    def objects(self):
        resource = boto3.resource(
            "s3", endpoint_url=self.endpoint, region_name=REGION, aws_access_key_id=KEY, aws_secret_access_key=SECRET
        )
        return resource.Bucket(BUCKET).objects.filter(Prefix=self.prefix)

    def test_another_host_fetches_what_this_one_put(self, tmp_path):
        content = os.urandom(9 << 20)
        digest, _ = self.store.put(content, limit=LIMIT)
        other = self.another_host(tmp_path / "other")
        assert other.has(digest)
        assert other.local_path(digest).read_bytes() == content
        assert [path.name for path in files(tmp_path / "other")] == [digest]

    def test_names_begin_with_the_prefix(self):
        digest, _ = self.store.put(b"some bytes", limit=LIMIT)
        assert [item.key for item in self.objects()] == [f"{self.prefix}/{digest[:2]}/{digest}"]

    def test_a_damaged_copy_is_refused_and_fetched_again(self):
        digest, _ = self.store.put(b"some bytes", limit=LIMIT)
        damage(self.store.local_path(digest))
        assert self.store.local_path(digest).read_bytes() == b"some bytes"

    def test_bytes_that_were_changed_in_the_store_are_refused_and_not_kept(self, tmp_path):
        digest, _ = self.store.put(b"some bytes", limit=LIMIT)
        for item in self.objects():
            item.put(Body=b"other byte")
        with pytest.raises(errors.Conflict):
            self.another_host(tmp_path / "other").local_path(digest)
        assert files(tmp_path / "other") == []

    def test_many_threads_that_open_one_version_get_it_whole(self, tmp_path):
        content = os.urandom(3 << 20)
        digest, _ = self.store.put(content, limit=LIMIT)
        other, found = self.another_host(tmp_path / "other"), []
        threads = [
            threading.Thread(target=lambda: found.append(other.local_path(digest).read_bytes() == content))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert found == [True] * 4

    def test_wrong_credentials_and_a_bucket_that_is_not_there_are_no_crash(self, tmp_path):
        bucket = bucket_of(f"s3://elsewhere?endpoint={self.endpoint}&region={REGION}")
        assert bucket is not None
        store = ObjectStore(bucket, Access(KEY, SECRET), ArtifactCache(tmp_path / "other", limit=LIMIT))
        with pytest.raises(errors.Unavailable):
            store.put(b"some bytes", limit=LIMIT)

    def test_the_copies_opened_longest_ago_make_room_and_are_fetched_again(self, tmp_path):
        folder = tmp_path / "small"
        store = a_store(self.endpoint, folder, self.prefix, cached=250)
        first, second = (store.put(bytes([octet]) * 100, limit=LIMIT)[0] for octet in (1, 2))
        for age, digest in enumerate((second, first), start=1):
            opened_long_ago(store.local_path(digest), ago_s=age * SPARED_S)
        assert store.local_path(first).read_bytes() == b"\1" * 100  # now it is the other one
        third, _ = store.put(b"\3" * 100, limit=LIMIT)
        assert {path.name for path in files(folder)} == {first, third}
        assert store.local_path(second).read_bytes() == b"\2" * 100

    def test_what_was_opened_just_now_stays_beyond_the_limit(self, tmp_path):
        store = a_store(self.endpoint, tmp_path / "small", self.prefix, cached=50)
        first, _ = store.put(b"\1" * 100, limit=LIMIT)
        path = store.local_path(first)
        store.put(b"\2" * 100, limit=LIMIT)
        assert path.read_bytes() == b"\1" * 100


@pytest.fixture(params=["stopped", "frozen"])
def server(request) -> Iterator[Server]:
    """A server to take away: the run's own can only be frozen."""
    if request.param == "stopped":
        yield request.getfixturevalue("private_object_store")
    else:
        frozen = request.getfixturevalue("object_store")
        yield frozen
        thaw(frozen.pid)


def test_while_the_store_is_away_the_known_opens_and_the_rest_is_unavailable_in_time(server, tmp_path, request):
    prefix, folder = f"models/{mint().hex}", tmp_path / "cache"
    store = a_store(server.url, folder, prefix)
    known, _ = store.put(b"opened before", limit=LIMIT)
    unknown, _ = a_store(server.url, tmp_path / "other", prefix).put(b"never opened here", limit=LIMIT)
    is_frozen = "frozen" in request.node.callspec.id
    freeze(server.pid) if is_frozen else server.stop()

    began = time.monotonic()
    assert store.local_path(known).read_bytes() == b"opened before"
    # A process that starts now finds the folder of the one before.
    assert a_store(server.url, folder, prefix).local_path(known).read_bytes() == b"opened before"
    assert time.monotonic() - began < 1
    assert store.has(known)
    for ask in (
        lambda: store.local_path(unknown),
        lambda: store.has(unknown),
        lambda: store.put(b"something new", limit=LIMIT),
    ):
        began = time.monotonic()
        with pytest.raises(errors.Unavailable) as caught:
            ask()
        assert time.monotonic() - began < AWAY_S
        assert caught.value.retry_after
    assert [path.name for path in files(folder)] == [known]
    if is_frozen:
        thaw(server.pid)
        assert store.local_path(unknown).read_bytes() == b"never opened here"


@pytest.mark.django_db
def test_publishing_while_the_store_is_away_leaves_no_row(settings, tmp_path):
    settings.ARTIFACT_URL = f"s3://{BUCKET}?endpoint=http://127.0.0.1:{free_port()}&region={REGION}"
    settings.ARTIFACT_CACHE_DIR, settings.ARTIFACT_ACCESS_KEY, settings.ARTIFACT_SECRET_KEY = tmp_path, KEY, SECRET
    project = Project.objects.create(name=f"away-{mint().hex[:8]}")
    model = RegisteredModel.objects.create(project=project, name="adder")
    began = time.monotonic()
    with pytest.raises(errors.Unavailable) as caught:
        publishing.submit(model, cast.adder().model, filename="adder.onnx", who="tests")
    assert time.monotonic() - began < AWAY_S
    assert caught.value.retry_after
    assert not model.versions.exists()
    assert files(tmp_path) == []


@pytest.mark.django_db(transaction=True)
def test_a_version_waits_for_a_frozen_store_and_is_published_then(settings, tmp_path, object_store):
    settings.ARTIFACT_URL = f"s3://{BUCKET}/{mint().hex}?endpoint={object_store.url}&region={REGION}"
    settings.ARTIFACT_CACHE_DIR, settings.ARTIFACT_ACCESS_KEY, settings.ARTIFACT_SECRET_KEY = tmp_path, KEY, SECRET
    project = Project.objects.create(name=f"away-{mint().hex[:8]}")
    model = RegisteredModel.objects.create(project=project, name="adder")
    version = publishing.submit(model, cast.adder().model, filename="adder.onnx", who="tests", enqueue=False)
    for path in files(tmp_path):
        path.unlink()  # the worker is another host
    freeze(object_store.pid)
    timer = threading.Timer(2.5, thaw, (object_store.pid,))
    timer.start()
    try:
        published = publishing.publish(version.pk)
    finally:
        timer.join()
        thaw(object_store.pid)
    assert (published.status, published.reason) == (published.Status.READY, "")
