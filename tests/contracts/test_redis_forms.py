"""Redis behind sentinels, as a cluster, and over TLS: real servers, the same URL forms that the settings take."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.core.cache import caches
from redis import Redis

from monitoring.ids import mint
from predictions.queued import results
from predictions.queued.redis_wakeups import RedisWakeUps
from serving_site import redis_urls as forms
from serving_site.redis_clients import Factory
from serving_site.stack import install
from serving_site.stack.server import Server, free_port, launch, program
from tests.contracts.cache_and_results import a_row
from tests.contracts.tls import certificate
from tests.contracts.wake_ups import Ear
from tests.waiting import eventually

Launch = Callable[..., Server]
pytestmark = pytest.mark.django_db


@pytest.fixture
def redis_server(tmp_path) -> Iterator[Launch]:
    """Start a Redis with these options on a free port."""
    install.ensure("Redis")
    servers: list[Server] = []

    def start(*options: str, port: int | None = None, config: str | None = None) -> Server:
        port, name = port or free_port(), f"redis-{len(servers)}"
        words: list[str | Path] = [program("redis-server")]
        if config is not None:
            (tmp_path / name).with_suffix(".conf").write_text(config)
            words.append((tmp_path / name).with_suffix(".conf"))
        fixed = ["--port", str(port)] if "--tls-port" not in options else []
        command = [*words, *fixed, "--bind", "127.0.0.1", "--save", "", "--dir", tmp_path, *options]
        url = f"redis://127.0.0.1:{port}/0"
        servers.append(launch(name, command, folder=tmp_path, port=port, url=url, timeout=20))
        return servers[-1]

    yield start
    for server in reversed(servers):
        server.stop()


def use(settings, url: str, ca_file: str = "") -> None:
    options = {"connections": 10, "ca_file": ca_file}
    settings.CACHES = {
        "default": forms.cache(url, prefix="serving", **options),
        "results": forms.cache(url, prefix="serving-results", **options),
    }


def check(ca_file: str = "") -> None:
    """Values, hot results and wake-ups go through."""
    values = {mint().hex: number for number in range(20)}
    caches["default"].set_many(values, 60)
    assert caches["default"].get_many(list(values)) == values
    assert caches["default"].add("once", 1, 60)
    assert not caches["default"].add("once", 1, 60)
    row = a_row()
    results.keep_hot([row])
    assert results.find(row.project_id, row.project, row.id) == results.sight_of(row)
    client = caches["results"].client
    hears, sends = RedisWakeUps(client.get_client), RedisWakeUps(client.get_client)
    ear = Ear(hears)
    hears.start()
    try:
        eventually(lambda: hears.is_heard)
        sends.send([row.id])
        assert ear.wait(row.id)
    finally:
        hears.stop(5)


def test_the_primary_that_sentinels_name_is_used_and_its_successor_after_it(redis_server, settings):
    primary = redis_server("--requirepass", "secret", "--masterauth", "secret")
    follow = ("--replicaof", "127.0.0.1", str(primary.port))
    redis_server("--requirepass", "secret", "--masterauth", "secret", *follow)
    port = free_port()
    sentinel = redis_server(
        "--sentinel",
        port=port,
        config=f"""sentinel monitor mymaster 127.0.0.1 {primary.port} 1
sentinel auth-pass mymaster secret
sentinel down-after-milliseconds mymaster 500
sentinel failover-timeout mymaster 2000
requirepass other
""",
    )
    asked = Redis(port=sentinel.port, password="other", decode_responses=True)
    eventually(lambda: int(asked.sentinel_master("mymaster")["num-slaves"]) == 1)
    use(
        settings,
        f"redis+sentinel://:secret@127.0.0.1:{sentinel.port},127.0.0.1:1/mymaster/0?sentinel_password=other",
    )
    check()
    primary.stop()

    def is_used_again() -> bool:
        caches["default"].set("again", 1, 60)
        return caches["default"].get("again") == 1

    eventually(is_used_again)
    asked.close()


def test_keys_go_to_the_node_of_a_cluster_that_holds_them(redis_server, settings, tmp_path):
    nodes = [
        redis_server(
            *("--cluster-enabled", "yes", "--cluster-config-file", f"nodes-{number}.conf"),
            *("--cluster-port", str(free_port())),
        )
        for number in range(3)
    ]
    hosts = [f"127.0.0.1:{node.port}" for node in nodes]
    subprocess.run(
        [program("redis-cli"), "--cluster", "create", *hosts, "--cluster-yes"], check=True, timeout=60,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    for node in nodes:
        with Redis(port=node.port) as asked:
            eventually(lambda asked=asked: asked.cluster("info")["cluster_state"] == "ok")
    use(settings, f"redis+cluster://{','.join(hosts)}")
    check()


def test_tls_is_spoken_and_the_certificate_is_checked(redis_server, settings, tmp_path):
    shown = certificate(tmp_path)
    port = free_port()
    redis_server(
        *("--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no"),
        *("--tls-cert-file", str(shown.file), "--tls-key-file", str(shown.key), "--tls-ca-cert-file", str(shown.file)),
        port=port,
    )
    use(settings, f"rediss://127.0.0.1:{port}/0", str(shown.file))
    check()
    # Without the CA file the certificate is nobody's: nothing is sent.
    Factory._clients.clear()
    use(settings, f"rediss://127.0.0.1:{port}/0")
    caches["default"].set("known", 1, 60)
    assert caches["default"].get("known") is None
