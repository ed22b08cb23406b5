"""Private servers of the services mode, started once for many runs by the code of `make stack`.

A run gets a copy of the staged database, a virtual host and an index environment of its own, so that nothing of one
run is seen by the next.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from serving_site.stack.running import Stack
from serving_site.stack.server import Server, ServerMissing, discard
from tests.chaos.stage import Stage
from tests.running import ROOT, clean_environment

STAGE_LIMIT_S = 120


@dataclass(frozen=True, slots=True)
class Place:
    """What belongs to one run: its URLs by setting, its data folder, and what the load must know."""

    name: str
    data: Path
    urls: Mapping[str, str]
    stage: Stage

    @property
    def index_pattern(self) -> str:
        return f"serving-predictions-{self.name}-*"


class Arena:
    """The servers, the staged database that runs are copied from, and the virtual hosts."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._stack = Stack(root, observed=False, downloads=ROOT / "var" / "downloads", say=lambda _: None)

    @property
    def servers(self) -> dict[str, Server]:
        return self._stack.servers

    def start(self) -> None:
        self._stack.start_servers()
        self._stage()

    def _stage(self) -> None:
        environment = clean_environment(
            self._stack.data, **self._stack.environment, DJANGO_SETTINGS_MODULE="serving_site.settings"
        )
        command = [sys.executable, "-m", "tests.chaos.services.stage"]
        ended = subprocess.run(
            command, cwd=ROOT, env=environment, timeout=STAGE_LIMIT_S, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr

    def start_again(self, name: str) -> None:
        """Start a server that was killed or stopped, on its port and data."""
        self._stack.start_server(name)

    def stop(self) -> None:
        """End the servers and drop their data, which as root may lie outside `root`."""
        self._stack.stop()
        discard(self.root)

    def place(self, name: str) -> Place:
        """Room for one run; `name` is used once."""
        data = self.root / name / "data"
        shutil.copytree(self._stack.data, data)
        database = f"run_{name}"
        # From another database: a template must have no session.
        with psycopg.connect(self._database_url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{database}" TEMPLATE serving')
        self._add_vhost(name)
        urls = {
            **{setting: self.servers[server].url for setting, server in _SAME.items()},
            "DATABASE_URL": self._database_url(database),
            "RABBITMQ_URL": f"{self.servers['rabbitmq'].url.rstrip('/')}/{name}",
        }
        return Place(name, data, urls, Stage(**json.loads((data / "stage.json").read_text())))

    def rabbitmq(self, method: str, path: str, document: Any = None) -> Any:
        """Call RabbitMQ's management API."""
        server = self.servers["rabbitmq"]
        parts = urlsplit(server.url)
        password = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
        request = urllib.request.Request(
            f"{server.extra_urls['management']}/api/{path}",
            method=method,
            data=None if document is None else json.dumps(document).encode(),
            headers={"Authorization": f"Basic {password}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            content = answer.read()
        return json.loads(content) if content else None

    def _add_vhost(self, name: str) -> None:
        """Its management API may answer a moment after the node does."""
        end = time.monotonic() + 20
        while True:
            try:
                self.rabbitmq("PUT", f"vhosts/{name}")
                everything = {"configure": ".*", "write": ".*", "read": ".*"}
                self.rabbitmq("PUT", f"permissions/{name}/serving", everything)
                return
            except (urllib.error.URLError, OSError):
                if time.monotonic() > end:
                    raise
                time.sleep(0.3)

    def _database_url(self, database: str) -> str:
        return f"{self.servers['postgres'].url.rpartition('/')[0]}/{database}"


_SAME = {"REDIS_URL": "redis-cache", "REDIS_RESULTS_URL": "redis-results", "ELASTICSEARCH_URL": "elasticsearch"}


@contextmanager
def running_arena(root: Path) -> Iterator[Arena]:
    """Started servers, ended at the end; skips, naming what is missing, where one cannot be had."""
    arena = Arena(root)
    try:
        arena.start()
    except ServerMissing as missing:
        pytest.skip(str(missing))
    except BaseException:
        arena.stop()
        raise
    try:
        yield arena
    finally:
        arena.stop()
