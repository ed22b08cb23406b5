"""The image's entry point, its health check and the secrets of a first start."""

from __future__ import annotations

import http.server
import os
import re
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from serving_site import alive, credentials, roles
from tests.running import ROOT


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["web"], ("manage.py", "serve")),
        (["keeper"], ("manage.py", "keep")),
        (["migrate"], ("manage.py", "set_up")),
        (["manage", "create_key", "--name", "x"], ("manage.py", "create_key", "--name", "x")),
        (["credentials", "/made"], ("-m", "serving_site.credentials", "/made")),
    ],
)
def test_a_role_names_its_program(given: list[str], expected: tuple[str, ...]) -> None:
    assert roles.command_of(given).arguments == expected


@pytest.mark.parametrize("priority", roles.QUEUES)
def test_a_worker_takes_from_the_queue_of_its_priority(priority: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_THREADS", "7")
    arguments = roles.command_of(["worker", priority]).arguments
    assert arguments[arguments.index("-Q") + 1] == roles.QUEUES[priority]
    assert arguments[arguments.index("-c") + 1] == "7"


def test_processes_that_predict_keep_their_memory_flat() -> None:
    for command in (roles.worker("queue", name="x"), roles.keeper()):
        assert command.environment["MALLOC_ARENA_MAX"] == "2"


@pytest.mark.parametrize("given", [[], ["nobody"], ["worker"], ["worker", "fast"], ["web", "x"], ["credentials"]])
def test_what_is_no_role_is_refused_with_a_sentence(given: list[str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "serving_site.roles", *given], capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("serving-blueprint: ")
    assert "Traceback" not in ended.stderr


def test_a_second_start_keeps_the_credentials_of_the_first(tmp_path: Path) -> None:
    made = credentials.make(tmp_path)
    first = {path: path.read_text() for path in made}
    assert credentials.make(tmp_path) == []
    assert {path: path.read_text() for path in made} == first


def test_what_is_missing_again_is_made_with_the_password_that_the_service_knows(tmp_path: Path) -> None:
    credentials.make(tmp_path)
    lost = tmp_path / "ours" / "rabbitmq_url"
    before = lost.read_text()
    lost.unlink()
    assert credentials.make(tmp_path) == [lost]
    assert lost.read_text() == before


def test_both_sides_of_a_connection_get_the_same_password(tmp_path: Path) -> None:
    credentials.make(tmp_path)

    def password_of(url: str) -> str | None:
        return urlsplit((tmp_path / "ours" / url).read_text()).password

    def read(name: str) -> str:
        return (tmp_path / name).read_text()

    assert password_of("database_url") == read("postgres/password")
    assert f"default_pass = {password_of('rabbitmq_url')}\n" in read("rabbitmq/serving.conf")
    assert f"requirepass {password_of('redis_url')}\n" in read("redis/cache.conf")
    assert f"requirepass {password_of('redis_results_url')}\n" in read("redis/results.conf")
    assert len({password_of(url) for url in ("database_url", "rabbitmq_url", "redis_url", "redis_results_url")}) == 4


def test_a_checkout_finds_every_engine_under_the_port_that_profile_dev_publishes(tmp_path: Path) -> None:
    credentials.make(tmp_path)
    lines = (tmp_path / "ours" / "checkout.env").read_text().splitlines()
    urls = {name: urlsplit(url) for name, url in (line.split("=", 1) for line in lines)}
    proxied = dict(re.findall(r"listen (\S+)\n +bind :(\d+)", (ROOT / "docker/dev/haproxy.cfg").read_text()))
    ports = {
        **{"DATABASE_URL": proxied["postgres"], "RABBITMQ_URL": proxied["rabbitmq"]},
        **{"REDIS_URL": proxied["redis-cache"], "REDIS_RESULTS_URL": proxied["redis-results"]},
        "ELASTICSEARCH_URL": proxied["elasticsearch"],
    }
    assert {name: (url.hostname, str(url.port)) for name, url in urls.items()} == {
        name: ("127.0.0.1", port) for name, port in ports.items()
    }
    for name in ("DATABASE_URL", "RABBITMQ_URL", "REDIS_URL", "REDIS_RESULTS_URL"):
        inside = urlsplit((tmp_path / "ours" / name.lower()).read_text())
        assert (urls[name].password, urls[name].path) == (inside.password, inside.path), name


def test_nobody_may_change_a_secret(tmp_path: Path) -> None:
    for path in credentials.make(tmp_path):
        assert not path.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)


class _Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path in ("/health/live", "/metrics") else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """A test's server says nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    with http.server.HTTPServer(("127.0.0.1", 0), _Healthy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_web_and_keeper_are_alive_while_they_answer(port: int) -> None:
    assert alive.is_alive({"SERVING_ROLE": "web", "PORT": str(port)})
    assert alive.is_alive({"SERVING_ROLE": "keeper", "METRICS_PORT": str(port)})


def test_web_that_does_not_answer_is_not_alive() -> None:
    assert not alive.is_alive({"SERVING_ROLE": "web", "PORT": "1"})


def test_a_worker_is_alive_while_it_touches_its_file(tmp_path: Path) -> None:
    file = tmp_path / "alive"
    worker = {"SERVING_ROLE": "worker", "LIVENESS_FILE": str(file)}
    assert not alive.is_alive(worker)
    file.touch()
    assert alive.is_alive(worker)
    old = file.stat().st_mtime - alive.STALE_S - 1
    os.utime(file, (old, old))
    assert not alive.is_alive(worker)


def test_a_process_tells_its_environment() -> None:
    assert alive.environment_of(os.getpid())["PATH"] == os.environ["PATH"]
