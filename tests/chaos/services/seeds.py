"""Seeded runs: a defect in every process of a small scene, the fault that brings it out, a short drain."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import psycopg

from tests.chaos.services.arena import Arena
from tests.chaos.services.campaign import Campaign, Result, run
from tests.chaos.services.defects import DEFECTS, MIDNIGHT
from tests.chaos.services.faults import frozen
from tests.chaos.services.proxy import Proxy
from tests.chaos.services.scene import STANDARD, Scene

SEEDED = Campaign(calls=200, rate=24.0, clients=8, retry_s=2.0, drain_limit_s=20.0)
#: The control drains as long as a purged nudge may take to be sent again.
CONTROL = Campaign(calls=200, rate=24.0, clients=8, retry_s=10.0, drain_limit_s=60.0)
WORKERS = {"one": STANDARD, "two": STANDARD}
#: At most so long: a lease, a round of the keeper and a batch elsewhere are well within it on a machine that is busy.
FROZEN_S = 10.0
LOST_LIMIT_S = 8.0


def run_seeded(arena: Arena, name: str) -> Result:
    """One defect, or `control`: nothing broken, and every fault one after the other."""
    proxy = Proxy(arena.servers["elasticsearch"].port)
    records = {"ELASTICSEARCH_URL": f"http://127.0.0.1:{proxy.port}"}
    scene = Scene(
        arena, arena.place(f"seeded-{name.lower()}"), defect=name, workers=WORKERS, environment=records, small=True
    )
    scene.start()

    def meanwhile() -> None:
        for fault in FAULTS if name == "control" else [DEFECTS[name].fault]:
            if fault:
                FAULTS[fault](scene, proxy)

    try:
        return run(scene, CONTROL if name == "control" else SEEDED, meanwhile=meanwhile)
    finally:
        scene.stop()
        proxy.close()


def kill_workers(scene: Scene, _: Proxy) -> None:
    for name in ("worker-one", "worker-two"):
        os.kill(scene.processes[name].pid, signal.SIGKILL)
        time.sleep(2.0)


def freeze_a_worker(scene: Scene, _: Proxy) -> None:
    """What it was running is taken from it and ends elsewhere, then it goes on as if nothing were. A worker that was
    frozen while it ran nothing shows nothing: then it is the other's turn."""
    for name in ("worker-one", "worker-two") * 3:
        before = ended_elsewhere(scene)
        with frozen(scene.processes[name].pid):
            end = time.monotonic() + FROZEN_S
            while time.monotonic() < end and ended_elsewhere(scene) == before:
                time.sleep(0.2)
        if ended_elsewhere(scene) > before:
            return
        time.sleep(0.5)


def ended_elsewhere(scene: Scene) -> int:
    """Rows whose lease ran out and that have ended since."""
    with psycopg.connect(scene.place.urls["DATABASE_URL"]) as rows:
        found = rows.execute(
            "SELECT count(*) FROM predictions_prediction "
            "WHERE attempts > 0 AND status NOT IN ('starting', 'processing')"
        ).fetchone()
    return int(found[0]) if found else 0


def lose_answers_over_midnight(scene: Scene, proxy: Proxy) -> None:
    """The store applies a batch, its answer is lost, the day ends, the batch is sent again."""
    proxy.losing = True
    end = time.monotonic() + LOST_LIMIT_S
    while not proxy.lost and time.monotonic() < end:
        time.sleep(0.05)
    (scene.place.data / MIDNIGHT).touch()
    proxy.losing = False


def shut_the_record_store(_: Scene, proxy: Proxy) -> None:
    proxy.shut = True
    time.sleep(3.0)
    proxy.shut = False


def purge_the_queue(scene: Scene, _: Proxy) -> None:
    """Nudges gather behind frozen workers, and are gone."""
    with frozen(*(scene.processes[name].pid for name in ("worker-one", "worker-two"))):
        time.sleep(2.0)
        scene.arena.rabbitmq("DELETE", f"queues/{scene.place.name}/{STANDARD}/contents")


FAULTS: dict[str, Callable[[Scene, Proxy], None]] = {
    "workers killed": kill_workers,
    "worker frozen": freeze_a_worker,
    "answers lost over midnight": lose_answers_over_midnight,
    "record store away": shut_the_record_store,
    "queue purged": purge_the_queue,
}
