"""URLs of the real services: several hosts, credentials, TLS; a mistake names itself and never a password."""

from __future__ import annotations

import ssl

import pytest

from monitoring.stores import cluster as record_cluster
from serving_site import addresses, postgres, topology


def test_a_database_url_names_several_hosts_as_libpq_takes_them() -> None:
    found = addresses.database(
        "postgres://me:p%40ss@one:5433,two/db?target_session_attrs=read-write&sslmode=verify-full&sslrootcert=/ca.pem"
    )
    assert (found.hosts, found.ports, found.name) == ("one,two", "5433,5432", "db")
    assert (found.user, found.password) == ("me", "p@ss")
    assert found.options == {
        "target_session_attrs": "read-write",
        "sslmode": "verify-full",
        "sslrootcert": "/ca.pem",
    }


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("mysql://me:secret@host/db", "begins with postgres://"),
        ("postgres://me:secret@host", "names the database"),
        ("postgres://me:secret@host:port/db", "name:port"),
        ("postgres://me:secret@one,,two/db", "name:port"),
        ("postgres://me:secret@host/db?sslmod=require", "no parameter sslmod"),
    ],
)
def test_a_wrong_database_url_is_refused_without_its_password(url: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as refused:
        addresses.database(url)
    assert "secret" not in str(refused.value)


def test_a_database_password_is_not_shown() -> None:
    assert "secret" not in repr(addresses.database("postgres://me:secret@host/db"))


def test_every_connection_to_postgresql_is_bounded() -> None:
    options = postgres.settings("postgres://one,two/db?sslmode=require", role="worker", connections=7)["OPTIONS"]
    assert options["pool"]["max_size"] == 7
    assert options["pool"]["timeout"] <= 5
    assert options["pool"]["connection_class"] is postgres.BoundedConnection
    assert options["connect_timeout"] == 2
    assert options["application_name"] == "serving-worker"
    assert options["sslmode"] == "require"
    for setting in ("statement_timeout=5s", "lock_timeout=2s", "idle_in_transaction_session_timeout=30s"):
        assert f"-c {setting}" in options["options"]
    assert "-c synchronous_commit=on" in options["options"]


def test_a_broker_has_several_nodes() -> None:
    urls = addresses.brokers("amqps://me:secret@one:5671/v ; amqps://me:secret@two/v")
    assert urls == ("amqps://me:secret@one:5671/v", "amqps://me:secret@two/v")
    tls = addresses.broker_tls(urls, "/ca.pem")
    assert tls is not None
    assert (tls["ca_certs"], tls["cert_reqs"]) == ("/ca.pem", ssl.CERT_REQUIRED)
    assert addresses.broker_tls(addresses.brokers("amqp://one"), "/ca.pem") is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (" ; ", "names no node"),
        ("redis://me:secret@one", "begins with amqp"),
        ("amqp://me:secret@one;amqps://me:secret@two", "every node speaks TLS"),
        ("amqp://me:secret@:5672", "name:port"),
    ],
)
def test_a_wrong_broker_is_refused_without_its_password(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as refused:
        addresses.brokers(text)
    assert "secret" not in str(refused.value)


def test_elasticsearch_is_a_list_with_credentials() -> None:
    found = addresses.cluster("https://me:p%3Ass@one:9243,https://two,http://[::1]/path")
    assert found.hosts == ("https://one:9243", "https://two:443", "http://[::1]:9200/path")
    assert (found.user, found.password) == ("me", "p:ss")
    options = record_cluster.options(cluster=found, ca_file="/ca.pem", api_key="")
    assert options["basic_auth"] == ("me", "p:ss")
    assert options["ca_certs"] == "/ca.pem"
    assert (options["max_retries"], options["retry_on_timeout"]) == (0, False)
    assert options["request_timeout"] <= 10
    assert "basic_auth" not in record_cluster.options(cluster=found, ca_file="", api_key="key")


def test_a_wrong_elasticsearch_address_is_refused() -> None:
    with pytest.raises(ValueError, match="http://"):
        addresses.cluster("one:9200")


def test_queues_are_replicated_bounded_and_have_a_way_out() -> None:
    [queue] = topology.queues(["predictions.default.bulk"], embedded=False, quorum_size=3)
    assert queue.queue_arguments == {
        "x-queue-type": "quorum",
        "x-quorum-initial-group-size": 3,
        "x-delivery-limit": 5,
        "x-dead-letter-exchange": "serving.dlx",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
        "x-max-length": 100_000,
    }
    assert queue.exchange.arguments == {"alternate-exchange": "serving.unrouted"}
    [embedded] = topology.queues(["predictions.default.bulk"], embedded=True)
    assert not embedded.queue_arguments
