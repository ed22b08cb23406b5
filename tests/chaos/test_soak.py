"""Memory after very many predictions on both doors: the server stays small, and flat over the second half."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos import report
from tests.chaos.load import Connection
from tests.chaos.memory import Sample, growth_of_second_half, held, libraries
from tests.running import Server, prepared_server

ONLINE = int(os.environ.get("SOAK_ONLINE", "10000"))
QUEUED = int(os.environ.get("SOAK_QUEUED", "1000"))
MODELS = ("iris", "breast_cancer", "diabetes", "penguins")
LIMIT = 250 * 10**6
#: Bytes that a straight line through the second half may gain; an allocator's noise is below it.
FLAT = 10 * 10**6
#: Loaded nowhere in the server: everything native runs in children.
FORBIDDEN = {"sklearn", "skops", "pandas", "scipy"}
CLIENTS = 8
EVERY = max(1, (ONLINE + QUEUED) // 100)


class Soak:
    """Clients that share one stream of calls; every so many answers, the server's memory is read."""

    def __init__(self, server: Server) -> None:
        self._server, self._headers = server, {"Authorization": f"Bearer {server.key}"}
        self._rows = {model: row_of(server, model) for model in MODELS}
        self._calls: Iterator[tuple[str, str]] = self._stream()
        self._lock = threading.Lock()
        self._answers = 0
        self.samples: list[Sample] = []
        self.refused: list[str] = []

    def run(self) -> None:
        self._sample()
        threads = [threading.Thread(target=self._client) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._sample()

    def _stream(self) -> Iterator[tuple[str, str]]:
        """Queued calls evenly among the online ones, models in turn."""
        models = itertools.cycle(MODELS)
        every = (ONLINE + QUEUED) // QUEUED
        for number in range(ONLINE + QUEUED):
            yield ("queued" if number % every == 0 and number // every < QUEUED else "online"), next(models)

    def _client(self) -> None:
        connection = Connection(self._server.port)
        while True:
            with self._lock:
                call = next(self._calls, None)
            if call is None:
                break
            self._call(connection, *call)
            with self._lock:
                self._answers += 1
                if self._answers % EVERY == 0:
                    self._sample()
        connection.close()

    def _call(self, connection: Connection, door: str, model: str) -> None:
        inputs = self._rows[model]
        if door == "online":
            path, headers = f"/v2/models/{model}/infer", self._headers
            document: dict[str, Any] = {"inputs": inputs}
        else:
            path, headers = "/v1/predictions", {**self._headers, "Prefer": "wait=10"}
            document = {"model": model, "input": {"instances": [instance(inputs)]}}
        status, _, body = connection.post(path, document, headers)
        if status not in (200, 201) or (door == "queued" and body["status"] not in ("succeeded", "starting")):
            self.refused.append(f"{door} {model}: {status} {body}")

    def _sample(self) -> None:
        supervisor, worker = self._server.pids
        served = held(worker)
        self.samples.append(Sample(self._answers, held(supervisor) - served, served))


def row_of(server: Server, model: str) -> list[dict[str, Any]]:
    """One valid row by the model's own metadata."""
    status, described = server.get(f"/v2/models/{model}")
    assert status == 200, described
    return [
        {
            "name": item["name"],
            "datatype": item["datatype"],
            "shape": [1, *item["shape"][1:]],
            "data": ["x" if item["datatype"] == "BYTES" else 1] * max(1, *item["shape"][1:], 1),
        }
        for item in described["inputs"]
    ]


def instance(inputs: list[dict[str, Any]]) -> Any:
    """The same row as the queued door takes it: a list, or an object by column name."""
    if len(inputs) == 1:
        return inputs[0]["data"]
    return {item["name"]: item["data"][0] for item in inputs}


def markdown(samples: list[Sample], growth: int) -> str:
    last = samples[-1]
    lines = [
        f"# Memory over {ONLINE:,} online and {QUEUED:,} queued predictions of four models",
        "",
        f"Resident at the end {last.server / 1e6:.0f} MB: worker and recorder {last.worker / 1e6:.0f} MB, supervisor "
        f"{last.supervisor / 1e6:.0f} MB, shared pages counted once. "
        f"Growth over the second half {growth / 1e6:+.1f} MB.",
        "",
        "| answers | server, MB | worker and recorder, MB | supervisor, MB |",
        "|---:|---:|---:|---:|",
    ]
    shown = samples[:: max(1, len(samples) // 10)]
    lines += [
        f"| {item.answers:,} | {item.server / 1e6:.1f} | {item.worker / 1e6:.1f} | {item.supervisor / 1e6:.1f} |"
        for item in (*shown, last)
    ]
    return "\n".join(lines) + "\n"


@pytest.mark.chaos
@pytest.mark.timeout(1800)
def test_the_server_stays_small_and_flat(tmp_path: Path) -> None:
    with prepared_server(tmp_path / "data") as server:
        soak = Soak(server)
        soak.run()
        loaded = {pid: libraries(pid) & FORBIDDEN for pid in server.pids}
    growth = growth_of_second_half(soak.samples)
    text = markdown(soak.samples, growth)
    facts = {
        "online": ONLINE,
        "queued": QUEUED,
        "growth_bytes": growth,
        "samples": [[item.answers, item.supervisor, item.worker] for item in soak.samples],
        "versions": report.versions(),
    }
    report.write(report.KEPT if ONLINE >= 100_000 else tmp_path, "soak", facts, text)
    print(text)
    assert soak.refused[:5] == []
    assert not any(loaded.values()), loaded
    assert max(item.server for item in soak.samples) <= LIMIT, text
    assert growth <= FLAT, text
