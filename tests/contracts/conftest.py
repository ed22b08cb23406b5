"""Real servers for the contract tests: started once for the run, private and on loopback.

Servers that a test kills or freezes are its own (`private_redis`, `private_object_store`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import boto3
import pytest
from elasticsearch import Elasticsearch

from monitoring.stores.elastic_answers import SERIALIZERS
from serving_site.stack import elasticsearch as stack_elasticsearch
from serving_site.stack import install
from serving_site.stack import postgres as stack_postgres
from serving_site.stack import rabbitmq as stack_rabbitmq
from serving_site.stack import redis as stack_redis
from serving_site.stack.server import Server, discard, folder_for, free_port, launch
from tests import databases
from tests.contracts.artifacts import BUCKET, KEY, REGION, SECRET
from tests.services import thaw

_DOWNLOADS = Path(__file__).resolve().parent.parent.parent / "var" / "downloads"


@pytest.fixture(scope="session")
def elasticsearch_client(tmp_path_factory):
    install.ensure("Java 17", "Maven")
    root = tmp_path_factory.mktemp("stack")
    server = stack_elasticsearch.start(root, downloads=_DOWNLOADS)
    client = Elasticsearch(server.url, request_timeout=10, max_retries=0, serializers=SERIALIZERS)
    yield client
    client.close()
    server.stop()
    discard(root)


@pytest.fixture(scope="session")
def redis_urls(tmp_path_factory) -> Iterator[tuple[str, str]]:
    """Two servers, one for the cache and one for results."""
    install.ensure("Redis")
    root = tmp_path_factory.mktemp("redis")
    servers = [
        stack_redis.start(root, name="cache", policy="allkeys-lru"),
        stack_redis.start(root, name="results", policy="noeviction"),
    ]
    yield servers[0].url, servers[1].url
    for server in servers:
        server.stop()


@pytest.fixture
def private_redis(tmp_path) -> Iterator[Callable[..., Server]]:
    """Start a Redis of this test's own, also again on the port of one that was killed."""
    install.ensure("Redis")
    servers: list[Server] = []

    def start(port: int | None = None) -> Server:
        servers.append(stack_redis.start(tmp_path, name=f"redis-{len(servers)}", policy="noeviction", port=port))
        return servers[-1]

    yield start
    for server in servers:
        _end(server)


@pytest.fixture(scope="session")
def object_store(tmp_path_factory) -> Iterator[Server]:
    """An S3-compatible server with one bucket. Who freezes it thaws it."""
    server = _object_store(tmp_path_factory.mktemp("object-store"))
    yield server
    server.stop()


@pytest.fixture
def private_object_store(tmp_path) -> Iterator[Server]:
    """One that this test may stop."""
    server = _object_store(tmp_path)
    yield server
    _end(server)


def _object_store(root: Path) -> Server:
    port = free_port()
    server = launch(
        "moto",
        [Path(sys.executable).parent / "moto_server", "-H", "127.0.0.1", "-p", str(port)],
        folder=folder_for(root, "moto"),
        port=port,
        url=f"http://127.0.0.1:{port}",
        timeout=30,
    )
    client = boto3.client(
        "s3", endpoint_url=server.url, region_name=REGION, aws_access_key_id=KEY, aws_secret_access_key=SECRET
    )
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    client.close()
    return server


def _end(server: Server) -> None:
    """Stop a server that may be frozen or dead."""
    with suppress(ProcessLookupError, RuntimeError):
        thaw(server.pid)
    server.stop()


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory) -> Iterator[Server]:
    install.ensure("PostgreSQL")
    root = tmp_path_factory.mktemp("postgres")
    server = stack_postgres.start(root)
    yield server
    server.stop()
    discard(root)


@pytest.fixture(scope="class")
def on_postgres(postgres_server, django_db_setup, django_db_blocker) -> Iterator[None]:
    """Django's database is a real PostgreSQL for the tests of one class."""
    with django_db_blocker.unblock(), databases.instead(postgres_server.url):
        yield


@pytest.fixture(scope="session")
def rabbitmq_server(tmp_path_factory) -> Iterator[Server]:
    install.ensure("RabbitMQ")
    server = stack_rabbitmq.start(tmp_path_factory.mktemp("rabbitmq"))
    yield server
    server.stop()
