"""docker/compose.cluster.yml as it runs: every copy may go, one after the other, under load."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.chaos import checker, ledger, oracle
from tests.chaos.checker import Verdict
from tests.chaos.ledger import ClientLedger
from tests.chaos.services import evidence
from tests.chaos.services.arena import Place
from tests.chaos.services.timed import TimedLoad
from tests.chaos.stage import Stage
from tests.deploy.deployed import CLUSTER, WATCHING, WITHOUT, Deployed, deployed
from tests.deploy.running import Up, podman
from tests.running import ROOT, clean_environment
from tests.waiting import eventually

WORKERS = ("worker-interactive", "worker-standard", "worker-bulk")
DRAIN_LIMIT_S = 90.0
READY_LIMIT_S = 60.0
FAILOVER_LIMIT_S = 90.0
RABBITMQ = ("rabbitmq", "rabbitmq-2", "rabbitmq-3")
ELASTICSEARCH = ("elasticsearch", "elasticsearch-2", "elasticsearch-3")
QUESTION = ("-U", "serving", "-h", "/var/run/postgresql", "-tAc", "SELECT pg_is_in_recovery()", "serving")


@pytest.fixture(scope="module")
def cluster(built: None) -> Iterator[Deployed]:
    variables = {"DEMO_MODELS": "false", "SERVER_PROCESSES": "1"}
    with deployed(CLUSTER, name="serving-cluster", without=WITHOUT | WATCHING, **variables) as running:
        yield running


@dataclass
class Scene:
    """The cluster, the load's models and keys in it, and how many calls were made so far."""

    cluster: Deployed
    data: Path
    stage: Stage
    made: int = 0

    @property
    def up(self) -> Up:
        return self.cluster.up

    @property
    def place(self) -> Place:
        """Whom to ask now: addresses are new after a restart."""
        return Place("default", self.data, urls(self.cluster), self.stage)

    def under_load(self, act: Callable[[TimedLoad], None]) -> tuple[TimedLoad, Verdict]:
        """`act` while clients call both doors through the proxy; the load, and the verdict on all calls so far."""
        path = self.data / "client.jsonl"
        book = ClientLedger(path)
        options = {"rate": 20.0, "retry_s": 40.0, "threads": 12, "first": self.made + 1}
        load = TimedLoad(self.cluster.port, self.stage, book, seed=self.made, **options)
        await_ready(self)
        load.start()
        try:
            time.sleep(3)
            act(load)
            time.sleep(3)
        finally:
            load.stop()
            book.close()
            # Also of a load that failed: the next one's numbers begin behind it.
            self.made = max(attempt.call.number for attempt in ledger.read(path))
        end = time.monotonic() + DRAIN_LIMIT_S
        while True:
            if evidence.settled(self.place):
                verdict = checker.judge(evidence.collect(self.place, path))
                if verdict.clean or time.monotonic() > end:
                    return load, verdict
            assert time.monotonic() < end, "not drained"
            time.sleep(1)


@pytest.fixture(scope="module")
def scene(cluster: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """The models and keys of the load, put into the cluster's own database and artefacts."""
    data = tmp_path_factory.mktemp("stage")
    artifacts = cluster.up.volume("artifacts")
    own = {"ARTIFACT_URL": str(artifacts), "SECRET_KEY": cluster.secret("secret_key")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos.services.stage"],
        cwd=ROOT,
        env={**clean_environment(data, **urls(cluster), **own), "DJANGO_SETTINGS_MODULE": "serving_site.settings"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for path in artifacts.rglob("*"):
        os.chown(path, 10001, 10001)
    return Scene(cluster, data, Stage(**json.loads((data / "stage.json").read_text())))


def urls(cluster: Deployed) -> dict[str, str]:
    """Of those engines that run, by address: the database that takes writes, and a node of Elasticsearch."""
    up = cluster.up
    password = (up.volume("postgres-credentials") / "password").read_text()
    databases = ",".join(f"{up.address(name)}:5432" for name in ("postgres", "postgres-standby") if up.runs(name))
    node = next(name for name in ELASTICSEARCH if up.runs(name))
    return {
        "DATABASE_URL": f"postgres://serving:{password}@{databases}/serving?target_session_attrs=read-write",
        "ELASTICSEARCH_URL": f"http://{up.address(node)}:9200",
    }


def await_ready(scene: Scene) -> None:
    """Until both webs have noticed the models: ten good answers in a row."""
    end, good = time.monotonic() + READY_LIMIT_S, 0
    asked = [(key, model) for key in scene.stage.keys.values() for model in oracle.MODELS]
    while good < 10:
        assert time.monotonic() < end, "the models do not answer"
        paths = [(f"/v2/models/{model}/ready", {"Authorization": f"Bearer {key}"}) for key, model in asked]
        told = [scene.cluster.request("GET", path, headers=sent)[0] for path, sent in paths]
        good = good + 1 if set(told) == {200} else 0
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


def kinds(load: TimedLoad, *doors: str) -> set[str]:
    """What became of the tries at these doors, or at both."""
    return {timing.kind for timing in load.timings if not doors or timing.door in doors}


def failed_over(scene: Scene, load: TimedLoad, *victims: str, done: Callable[[], object], back: bool = True) -> float:
    """Kill `victims`, wait until `done`; seconds from the kill to the first queued call begun since that came finished.

    For some seconds more calls are made with the victims still away; then (`back`) they are started again.
    """
    killed = time.monotonic()
    for name in victims:
        podman("kill", scene.up.name(name))
    try:
        eventually(done, limit=FAILOVER_LIMIT_S, pause=0.5)
        over = time.monotonic()
        eventually(lambda: load.finished_after(over) is not None, limit=FAILOVER_LIMIT_S, pause=0.2)
        took = time.monotonic() - killed
        time.sleep(5)
        assert not any(scene.up.runs(name) for name in victims)
        return took
    finally:
        for name in victims if back else ():
            podman("start", scene.up.name(name))
        for name in victims if back else ():
            scene.up.await_healthy(name)


def test_a_rolling_restart_fails_no_request_and_killed_webs_lose_no_record(scene: Scene) -> None:
    moments: list[float] = []

    def act(load: TimedLoad) -> None:
        restart(scene.cluster, "web", "web-2", *WORKERS, "keeper")
        moments.append(time.monotonic())
        kill_all_webs(scene.cluster)

    load, verdict = scene.under_load(act)
    rolled = Counter(timing.kind for timing in load.timings if timing.begun + timing.seconds < moments[0])
    print(f"rolling restart: {dict(rolled)}; in all: {verdict.counts}")
    assert verdict.clean, verdict.findings
    assert set(rolled) == {"acknowledged"}, [timing for timing in load.timings if timing.kind != "acknowledged"][:5]


def leader(scene: Scene) -> str:
    """The service whose node leads the queue of standard predictions; nothing while none does."""
    asked = next(name for name in RABBITMQ if scene.up.runs(name))
    command = ("rabbitmqctl", "-q", "list_queues", "name", "leader", "online", "--formatter", "json")
    said = scene.up.execute(asked, *command, tolerant=True)
    try:
        queues = {queue["name"]: queue for queue in json.loads(said[said.index("[") :])}
    except ValueError:
        return ""
    return str(queues["predictions.default.standard"]["leader"]).partition("@")[2]


def test_the_node_that_leads_the_queue_dies_and_nothing_fails(scene: Scene) -> None:
    took: list[float] = []

    def act(load: TimedLoad) -> None:
        first = leader(scene)
        assert first in RABBITMQ
        took.append(failed_over(scene, load, first, done=lambda: leader(scene) not in ("", first)))

    load, verdict = scene.under_load(act)
    print(f"RabbitMQ: {took[0]:.0f} s; {verdict.counts}")
    assert verdict.clean, verdict.findings
    assert kinds(load) == {"acknowledged"}


def primary(scene: Scene, service: str) -> str:
    """The Redis that sentinels name for `cache` or `results`."""
    command = ("redis-cli", "-p", "26379", "sentinel", "get-master-addr-by-name", service)
    return scene.up.execute("sentinel-1", *command).splitlines()[0]


def test_both_primaries_of_redis_die_and_nothing_fails(scene: Scene) -> None:
    took: list[float] = []

    def act(load: TimedLoad) -> None:
        first = {service: primary(scene, service) for service in ("cache", "results")}
        victims = tuple(first.values())

        def moved() -> bool:
            return all(primary(scene, service) != name for service, name in first.items())

        took.append(failed_over(scene, load, *victims, done=moved))

    load, verdict = scene.under_load(act)
    print(f"Redis: {took[0]:.0f} s; {verdict.counts}")
    assert verdict.clean, verdict.findings
    assert kinds(load) == {"acknowledged"}


def test_a_node_of_elasticsearch_dies_and_every_record_is_found(scene: Scene) -> None:
    if "elasticsearch-2" not in scene.up.project.services:
        pytest.skip("one node stands for three: no more than so many open files, and no C compiler")

    def documents() -> int:
        """How many there are; 0 while it cannot say."""
        try:
            with urllib.request.urlopen(f"{urls(scene.cluster)['ELASTICSEARCH_URL']}/_count", timeout=10) as answer:
                return int(json.load(answer)["count"])
        except OSError:
            return 0

    def act(load: TimedLoad) -> None:
        node = elected(scene)
        before = documents()
        failed_over(scene, load, node, done=lambda: elected(scene) not in ("", node) and documents() > before)

    load, verdict = scene.under_load(act)
    print(f"Elasticsearch: {verdict.counts}")
    assert verdict.clean, verdict.findings
    assert kinds(load) == {"acknowledged"}


def elected(scene: Scene) -> str:
    """The node that the others have elected; nothing while none is."""
    asked = next(name for name in ELASTICSEARCH if scene.up.runs(name))
    url = "http://127.0.0.1:9200/_cat/master?h=node"
    said = scene.up.execute(asked, "curl", "-fsS", "--max-time", "3", url, tolerant=True).strip()
    return said if said in ELASTICSEARCH else ""


@pytest.mark.last
def test_the_primary_of_postgresql_dies_the_standby_is_promoted_and_nothing_accepted_is_lost(scene: Scene) -> None:
    """By hand, as README says; calls that need no database are answered all the while."""
    took: list[float] = []

    def promote() -> bool:
        podman("exec", "--user", "postgres", scene.up.name("postgres-standby"), "pg_ctl", "promote", tolerant=True)
        return "f" in scene.up.execute("postgres-standby", "psql", *QUESTION).split()

    def act(load: TimedLoad) -> None:
        took.append(failed_over(scene, load, "postgres", done=promote, back=False))

    load, verdict = scene.under_load(act)
    refused = Counter((timing.kind, timing.status) for timing in load.timings if timing.kind != "acknowledged")
    print(f"PostgreSQL: {took[0]:.0f} s; {verdict.counts}; {dict(refused)}")
    assert verdict.clean, verdict.findings
    assert kinds(load, "online") == {"acknowledged"}
    assert set(refused) <= {("refused", 503), ("unknown", 503)}
