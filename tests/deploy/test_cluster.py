"""docker/compose.cluster.yml as it runs: every copy may go, one after the other, under load."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.chaos import checker, oracle
from tests.chaos.checker import Verdict
from tests.chaos.ledger import ClientLedger
from tests.chaos.services import evidence
from tests.chaos.services.arena import Place
from tests.chaos.services.timed import TimedLoad
from tests.chaos.stage import Stage
from tests.deploy.deployed import CLUSTER, Deployed, deployed
from tests.deploy.running import podman
from tests.running import ROOT, clean_environment

WORKERS = ("worker-interactive", "worker-standard", "worker-bulk")
DRAIN_LIMIT_S = 90.0
READY_LIMIT_S = 60.0


@pytest.fixture(scope="module")
def cluster(built: None) -> Iterator[Deployed]:
    with deployed(CLUSTER, name="serving-cluster", DEMO_MODELS="false", SERVER_PROCESSES="1") as running:
        yield running


@pytest.fixture(scope="module")
def place(cluster: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The models and keys of the load, put into the cluster's own database and artefacts."""
    data = tmp_path_factory.mktemp("stage")
    up = cluster.up
    password = (up.volume("postgres-credentials") / "password").read_text()
    urls = {
        "DATABASE_URL": f"postgres://serving:{password}@{up.address('postgres')}:5432/serving",
        "ELASTICSEARCH_URL": f"http://{up.address('elasticsearch')}:9200",
    }
    artifacts = up.volume("artifacts")
    environment = clean_environment(data, **urls, ARTIFACT_URL=str(artifacts), SECRET_KEY=cluster.secret("secret_key"))
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos.services.stage"],
        cwd=ROOT,
        env={**environment, "DJANGO_SETTINGS_MODULE": "serving_site.settings"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for path in artifacts.rglob("*"):
        os.chown(path, 10001, 10001)
    return Place("default", data, urls, Stage(**json.loads((data / "stage.json").read_text())))


def under_load(cluster: Deployed, place: Place, act: Callable[[TimedLoad], None]) -> tuple[TimedLoad, Verdict]:
    """`act` while clients call both doors through the proxy; the load, and the verdict when all is drained."""
    path = place.data / "client.jsonl"
    book = ClientLedger(path)
    load = TimedLoad(cluster.port, place.stage, book, seed=7, rate=20.0, retry_s=40.0, threads=12)
    await_ready(cluster, place)
    load.start()
    try:
        time.sleep(3)
        act(load)
        time.sleep(3)
    finally:
        load.stop()
        book.close()
    end = time.monotonic() + DRAIN_LIMIT_S
    while True:
        if evidence.settled(place):
            verdict = checker.judge(evidence.collect(place, path))
            if verdict.clean or time.monotonic() > end:
                return load, verdict
        assert time.monotonic() < end, "not drained"
        time.sleep(1)


def await_ready(cluster: Deployed, place: Place) -> None:
    """Until both webs have noticed the models: ten good answers in a row."""
    end, good = time.monotonic() + READY_LIMIT_S, 0
    asked = [(key, model) for key in place.stage.keys.values() for model in oracle.MODELS]
    while good < 10:
        assert time.monotonic() < end, "the models do not answer"
        paths = [(f"/v2/models/{model}/ready", {"Authorization": f"Bearer {key}"}) for key, model in asked]
        good = good + 1 if all(cluster.request("GET", path, headers=sent)[0] == 200 for path, sent in paths) else 0
        time.sleep(0.1)


def restart(cluster: Deployed, *names: str) -> None:
    """One after the other, as an upgrade does: SIGTERM, wait for the end, start, wait until healthy."""
    for name in names:
        podman("stop", cluster.up.name(name))
        assert cluster.up.state(name)["ExitCode"] == 0, f"{name} did not drain"
        podman("start", cluster.up.name(name))
        cluster.up.await_healthy(name)
        time.sleep(3)  # the proxy looks every 2 s whether it is back


def kill_all_webs(cluster: Deployed) -> None:
    """Both keepers stand still before, so that what was answered since is in the spools alone."""
    for name in ("keeper", "keeper-2"):
        podman("stop", cluster.up.name(name))
    time.sleep(3)
    for name in ("web", "web-2"):
        podman("kill", cluster.up.name(name))
    for name in ("web", "web-2", "keeper", "keeper-2"):
        podman("start", cluster.up.name(name))
    cluster.up.await_healthy("web")


def test_a_rolling_restart_fails_no_request_and_killed_webs_lose_no_record(cluster: Deployed, place: Place) -> None:
    moments: list[float] = []

    def act(load: TimedLoad) -> None:
        restart(cluster, "web", "web-2", *WORKERS, "keeper")
        moments.append(time.monotonic())
        kill_all_webs(cluster)

    load, verdict = under_load(cluster, place, act)
    rolled = Counter(timing.kind for timing in load.timings if timing.begun + timing.seconds < moments[0])
    print(f"rolling restart: {dict(rolled)}; in all: {verdict.counts}")
    assert verdict.clean, verdict.findings
    assert set(rolled) == {"acknowledged"}, [timing for timing in load.timings if timing.kind != "acknowledged"][:5]
