"""Memory of the services mode after very many predictions: each process small, and flat over the second half."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from celery import Celery
from django.conf import settings

from tests.chaos import report
from tests.chaos.memory import Sample, growth_of_second_half, resident
from tests.chaos.test_soak import FLAT, ONLINE, QUEUED, Soak
from tests.services import Services, children, running_services
from tests.waiting import eventually

WEB_LIMIT, WORKER_LIMIT = 250 * 10**6, 300 * 10**6


class ServicesSoak(Soak):
    """The same calls; what is read is every process that answers or predicts."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        run_scheduled_tasks(services)
        self.processes = pids(services)
        self.memory: dict[str, list[Sample]] = {name: [] for name in self.processes}

    def _sample(self) -> None:
        for name, pid in self.processes.items():
            self.memory[name].append(Sample(self._answers, 0, resident(pid)))


def run_scheduled_tasks(services: Services) -> None:
    """Each of them once: what a process takes for its first one stays, and is no growth with the number of calls."""
    names = sorted({entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()})
    urls = services.stack.environment
    with Celery(broker=urls["RABBITMQ_URL"], set_as_current=False) as client:
        for name in names:
            client.send_task(name, exchange="serving", routing_key="operations")

    def done() -> bool:
        with psycopg.connect(urls["DATABASE_URL"]) as connection:
            query = "SELECT DISTINCT task_name FROM django_celery_results_taskresult WHERE status = 'SUCCESS'"
            return {name for (name,) in connection.execute(query)} >= set(names)

    eventually(done, limit=60)


def pids(services: Services) -> dict[str, int]:
    """Our own processes by name: the two server processes apart, children of models left out."""
    running = services.stack.processes
    found = {f"web {place}": pid for place, pid in enumerate(sorted(services.workers), 1)}
    found |= {name: process.pid for name, process in running.items() if name.startswith("worker") or name == "keeper"}
    assert all(children(running["web"].pid))
    return found


def limit_of(name: str) -> int:
    return WEB_LIMIT if name.startswith("web") else WORKER_LIMIT


def markdown(memory: dict[str, list[Sample]]) -> str:
    lines = [
        f"# Memory in the services mode over {ONLINE:,} online and {QUEUED:,} queued predictions of four models",
        "",
        "| process | at first, MB | half way, MB | at the end, MB | most, MB | growth over the second half, MB |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, samples in memory.items():
        sizes = [sample.worker / 1e6 for sample in samples]
        growth = growth_of_second_half(samples) / 1e6
        half = sizes[len(sizes) // 2]
        lines.append(f"| {name} | {sizes[0]:.1f} | {half:.1f} | {sizes[-1]:.1f} | {max(sizes):.1f} | {growth:+.1f} |")
    return "\n".join(lines) + "\n"


@pytest.mark.chaos
@pytest.mark.timeout(2400)
def test_every_process_stays_small_and_flat(tmp_path: Path) -> None:
    with running_services(tmp_path / "services") as services:
        soak = ServicesSoak(services)
        soak.run()
        same = pids(services)
    text = markdown(soak.memory)
    facts: dict[str, Any] = {
        "online": ONLINE,
        "queued": QUEUED,
        "samples": {name: [[item.answers, item.worker] for item in found] for name, found in soak.memory.items()},
        "versions": report.versions(),
    }
    report.write(report.KEPT if ONLINE >= 100_000 else tmp_path, "soak-services", facts, text)
    print(text)
    assert soak.refused[:5] == []
    assert same == soak.processes, "a process died meanwhile"
    for name, samples in soak.memory.items():
        assert max(sample.worker for sample in samples) <= limit_of(name), text
        assert growth_of_second_half(samples) <= FLAT, text
