"""docker/compose.yml as it runs, asked through its proxy as any server (`tests.running.Server`)."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from serving_site.stack.server import free_port
from tests.deploy import compose, images, running
from tests.deploy.compose import Project
from tests.deploy.running import Up
from tests.running import ROOT, Server

COMPOSE = ROOT / "docker" / "compose.yml"
CLUSTER = ROOT / "docker" / "compose.cluster.yml"
TLS = ROOT / "docker" / "compose.tls.yml"
#: Elasticsearch refuses to join others with less, and not every account may raise its own limit.
FILES_OF_ELASTICSEARCH = 65_535
#: Has no stand-in.
WITHOUT = frozenset({"grafana"})
#: What only looks on: left out where a test is about something else.
WATCHING = frozenset(
    {
        *("prometheus", "alertmanager", "node-exporter", "postgres-exporter", "elasticsearch-exporter"),
        *("redis-cache-exporter", "redis-results-exporter"),
    }
)


class Deployed(Server):
    """The proxy's port and a key of the project demo; `up` is what runs behind it."""

    def __init__(self, up: Up, port: int) -> None:
        self.up = up
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.folder = Path("/nowhere")

    @property
    def key(self) -> str:
        return self._key

    def use(self, key: str) -> None:
        """Call with a key that was made before, in another deployment of the same secret key."""
        self._key = key

    @cached_property
    def _key(self) -> str:
        """Made as README says, in a running container."""
        words = ["create_key", "--project", "demo", "--name", "tests", "--scopes", "predict,read,publish,manage"]
        return str(json.loads(self.manage(*words, "--json"))["secret"])

    def manage(self, *words: str, tolerant: bool = False) -> str:
        return self.up.execute("web", "python", "-m", "serving_site.roles", "manage", *words, tolerant=tolerant)

    def secret(self, name: str) -> str:
        """A file of the folder that the containers of ours read."""
        return (self.up.volume("ours") / name).read_text()


@contextmanager
def planned(*more: Path, name: str = "serving-test", **environment: str) -> Iterator[Deployed]:
    """docker/compose.yml and the files `more` on top of it, not started yet; removed at the end."""
    port = free_port()
    variables = {"PORT": str(port), "ES_JAVA_OPTS": "-Xms512m -Xmx512m", **environment}
    project = compose.read([COMPOSE, *more], variables)
    if CLUSTER in more and resource.getrlimit(resource.RLIMIT_NOFILE)[1] < FILES_OF_ELASTICSEARCH:
        project = with_few_files(project, compose.read([COMPOSE], variables))
    with running.planned(compose.renamed(project, name)) as up:
        yield Deployed(up, port)


@contextmanager
def deployed(
    *more: Path, name: str = "serving-test", without: frozenset[str] = WITHOUT, **environment: str
) -> Iterator[Deployed]:
    """The same, started but for `without`."""
    with planned(*more, name=name, **environment) as server:
        server.up.start(without=without)
        server.up.await_healthy("proxy")
        yield server


def with_few_files(project: Project, single: Project) -> Project:
    """Elasticsearch where this account may not open as many files as it wants to be granted.

    With a C compiler each node is told that it may (`images/files.c`); without one, the first node stands for three.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        return with_one_elasticsearch(project, single)
    library = Path(tempfile.gettempdir()) / f"serving-blueprint-{os.getuid()}" / "files.so"
    library.parent.mkdir(mode=0o700, exist_ok=True)
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", library, images.HERE / "files.c", "-ldl"], check=True, timeout=60
    )
    told = {}
    for name in ("elasticsearch", "elasticsearch-2", "elasticsearch-3"):
        service = project.services[name]
        environment = {**service.facts["environment"], "LD_PRELOAD": "/files.so"}
        facts = {**service.facts, "environment": environment}
        facts["volumes"] = [*service.facts["volumes"], f"{library}:/files.so:ro"]
        told[name] = replace(service, facts=facts)
    return replace(project, services={**project.services, **told})


def with_one_elasticsearch(project: Project, single: Project) -> Project:
    """The first node, alone and as `single` has it, in place of three."""
    copies = {"elasticsearch-2", "elasticsearch-3"}
    kept = {}
    for name, service in {**project.services, "elasticsearch": single.services["elasticsearch"]}.items():
        needs = {needed: how for needed, how in service.facts.get("depends_on", {}).items() if needed not in copies}
        if name not in copies:
            kept[name] = replace(service, facts={**service.facts, "depends_on": needs})
    return replace(project, services=kept)
