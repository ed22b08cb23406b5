"""Profile `dev`: the engines alone, on loopback, for a web and a worker that run from the checkout."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from serving_site import roles
from tests import cast
from tests.deploy import compose
from tests.deploy.deployed import COMPOSE
from tests.deploy.running import Up, podman, running
from tests.deploy.test_exposure import open_ports, own_address
from tests.running import ROOT, Server, clean_environment
from tests.waiting import eventually

PORTS = (5432, 5672, 6379, 6380, 9200)
LIMIT_S = 180


@pytest.fixture(scope="module")
def engines(built: None) -> Iterator[Up]:
    """`docker compose --profile dev up -d dev`"""
    if taken := [port for port in PORTS if not free(port)]:
        pytest.skip(f"the ports that the profile publishes are taken here: {taken}")
    project = compose.read([COMPOSE], {"ES_JAVA_OPTS": "-Xms512m -Xmx512m"})
    with running(compose.renamed(project, "serving-dev"), profile="dev", only=project.with_needs("dev")) as up:
        yield up


@pytest.fixture(scope="module")
def variables(engines: Up, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What README's command prints, as a shell reads it, and a data folder."""
    printed = engines.run_once("credentials", "/credentials/ours/checkout.env", entry="cat")
    pairs = dict(line.split("=", 1) for line in printed.splitlines())
    assert set(pairs) == {"DATABASE_URL", "RABBITMQ_URL", "REDIS_URL", "REDIS_RESULTS_URL", "ELASTICSEARCH_URL"}
    return clean_environment(tmp_path_factory.mktemp("checkout"), **pairs)


def test_nothing_runs_but_the_engines_and_their_ports(engines: Up) -> None:
    names = set(podman("ps", "--format", "{{.Names}}", "--filter", f"name=^{engines.project.name}-").split())
    expected = {"postgres", "rabbitmq", "redis-cache", "redis-results", "elasticsearch", "dev"}
    assert names == {engines.name(name) for name in expected}


def test_the_ports_are_open_on_loopback_alone(engines: Up) -> None:
    # haproxy listens a moment after its container runs.
    eventually(lambda: open_ports("127.0.0.1", list(PORTS)) == set(PORTS))
    assert open_ports(own_address(), list(PORTS)) == set()


def test_web_and_worker_from_the_checkout_answer_and_record(variables: dict[str, str]) -> None:
    folder = Path(variables["DATA_DIR"])
    manage(variables, "prepare")
    server = Server(folder, environment=variables)
    server.start()
    try:
        with (
            process(variables, roles.worker(roles.QUEUES["standard"], name="standard@checkout"), folder),
            process(variables, roles.worker(roles.QUEUES["operations"], name="operations@checkout"), folder),
            process(variables, roles.keeper(), folder),
        ):
            status, said = server.upload("sum", cast.adder(7).model, alias="champion")
            assert status in (201, 202), said
            eventually(lambda: server.get("/v2/models/sum/ready")[0] == 200, limit=90)
            asked = {"model": "sum", "input": {"instances": [[1.0, 2.0]]}}
            status, answer = server.post("/v1/predictions", asked, Prefer="wait")
            assert (status, answer["status"]) == (201, "succeeded")
            assert eventually(lambda: server.get(f"/api/records/{answer['id']}")[0] == 200, limit=60)
    finally:
        server.stop()


def manage(environment: dict[str, str], *words: str) -> None:
    command = [sys.executable, "manage.py", *words]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@contextmanager
def process(environment: dict[str, str], command: roles.Command, folder: Path) -> Iterator[None]:
    """A role of the checkout, ended with SIGTERM."""
    own = {**environment, **command.environment}
    with (folder / f"{own['SERVING_ROLE']}.log").open("ab") as log:
        running = subprocess.Popen(
            [sys.executable, *command.arguments], cwd=ROOT, env=own, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        yield
        assert running.poll() is None, f"{command.arguments} ended with {running.returncode}"
    finally:
        running.terminate()
        running.wait(60)


def free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
