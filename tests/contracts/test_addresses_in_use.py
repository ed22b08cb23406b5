"""The URLs that settings take, on real servers: a node that is away is passed over, TLS is spoken and checked."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from celery import Celery
from elastic_transport import TlsError
from elasticsearch import Elasticsearch
from kombu.exceptions import OperationalError

from monitoring.stores import cluster
from serving_site import addresses, postgres
from serving_site.stack.server import ACCOUNT, Server, free_port
from tests.contracts.tls import Certificate, Door, certificate


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("tls"))


def ask_postgres(url: str) -> Any:
    """Whether the session is encrypted, asked with the parameters that Django would use."""
    made = postgres.settings(url, role="tests", connections=1)
    place = {"host": made["HOST"], "port": made["PORT"], "dbname": made["NAME"], "user": made["USER"]}
    asked = {name: value for name, value in made["OPTIONS"].items() if name != "pool"}
    with psycopg.connect(**place, **asked) as connection:
        found = connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
    assert found is not None
    return found[0]


def test_a_postgresql_that_is_away_is_passed_over(postgres_server: Server) -> None:
    hosts = f"127.0.0.1:{free_port()},127.0.0.1:{postgres_server.port}"
    assert ask_postgres(f"postgres://serving@{hosts}/serving?target_session_attrs=read-write") is False


@pytest.fixture
def encrypted_postgres(postgres_server: Server, shown: Certificate) -> Iterator[str]:
    """The run's own server with its certificate, switched on while it runs."""
    folder = postgres_server.folder
    for file in (shown.file, shown.key):
        shutil.copy(file, folder / file.name)
        (folder / file.name).chmod(0o600)
        shutil.chown(folder / file.name, ACCOUNT, ACCOUNT)
    wanted = {"ssl_cert_file": folder / shown.file.name, "ssl_key_file": folder / shown.key.name, "ssl": "on"}
    with psycopg.connect(postgres_server.url, autocommit=True) as admin:
        for name, value in wanted.items():
            admin.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        admin.execute("SELECT pg_reload_conf()")
        yield f"postgres://serving@localhost:{postgres_server.port}/serving?sslmode=verify-full"
        admin.execute("ALTER SYSTEM RESET ALL")
        admin.execute("SELECT pg_reload_conf()")


def test_postgresql_is_spoken_to_in_tls_and_its_certificate_is_checked(
    encrypted_postgres: str, shown: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert ask_postgres(f"{encrypted_postgres}&sslrootcert={shown.file}") is True
    another = certificate(tmp_path_factory.mktemp("another"))
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        ask_postgres(f"{encrypted_postgres}&sslrootcert={another.file}")


def broker(urls: str, ca_file: str = "") -> Celery:
    nodes = addresses.brokers(urls)
    app = Celery("addresses", set_as_current=False, broker=";".join(nodes))
    app.conf.broker_use_ssl = addresses.broker_tls(nodes, ca_file)
    return app


def connected(app: Celery) -> bool:
    with app, app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=2, interval_start=0, interval_step=0, timeout=5)
        return bool(connection.connected)


def test_a_rabbitmq_that_is_away_is_passed_over(rabbitmq_server: Server) -> None:
    away = rabbitmq_server.url.replace(str(rabbitmq_server.port), str(free_port()))
    assert connected(broker(f"{away};{rabbitmq_server.url}"))


def test_rabbitmq_is_spoken_to_in_tls_and_its_certificate_is_checked(
    rabbitmq_server: Server, shown: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> None:
    door = Door(rabbitmq_server.port, shown)
    url = rabbitmq_server.url.replace("amqp://", "amqps://").replace(str(rabbitmq_server.port), str(door.port))
    assert connected(broker(url, str(shown.file)))
    another = certificate(tmp_path_factory.mktemp("another"))
    with pytest.raises((OperationalError, OSError)):
        connected(broker(url, str(another.file)))
    door.close()


def store(urls: str, ca_file: str = "") -> Elasticsearch:
    return Elasticsearch(**cluster.options(cluster=addresses.cluster(urls), ca_file=ca_file, api_key=""))


def test_an_elasticsearch_that_is_away_is_passed_over(elasticsearch_client: Elasticsearch) -> None:
    [node] = elasticsearch_client.transport.node_pool.all()
    client = store(f"http://127.0.0.1:{free_port()},{node.base_url}").options(max_retries=2)
    for _ in range(3):
        assert client.cluster.health()["status"]
    client.close()


def test_elasticsearch_is_spoken_to_in_tls_and_its_certificate_is_checked(
    elasticsearch_client: Elasticsearch, shown: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> None:
    [node] = elasticsearch_client.transport.node_pool.all()
    door = Door(node.port, shown)
    client = store(f"https://127.0.0.1:{door.port}", str(shown.file))
    assert client.cluster.health()["status"]
    client.close()
    another = certificate(tmp_path_factory.mktemp("another"))
    stranger = store(f"https://127.0.0.1:{door.port}", str(another.file))
    with pytest.raises(TlsError):
        stranger.cluster.health()
    stranger.close()
    door.close()
