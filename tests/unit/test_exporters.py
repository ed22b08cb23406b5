"""The exporters of the stack: one for each server that has one, none that is not installed."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest

from serving_site.stack import exporters, prometheus

URLS = {
    "postgres": "postgres://serving@127.0.0.1:1/serving",
    "rabbitmq": "amqp://serving:secret@127.0.0.1:2//",
    "redis-cache": "redis://127.0.0.1:3/0",
    "redis-results": "redis://127.0.0.1:4/0",
    "elasticsearch": "http://127.0.0.1:5",
}


def test_each_server_is_read_by_its_own_exporter_and_rabbitmq_by_none() -> None:
    found = {exporter.name: exporter for exporter in exporters.wanted(URLS)}
    assert set(found) == {"machine", "postgres", "redis-cache", "redis-results", "elasticsearch"}
    assert found["redis-results"].words == ("--redis.addr=redis://127.0.0.1:4/0",)
    assert found["postgres"].environment["DATA_SOURCE_NAME"].startswith("postgres://serving@127.0.0.1:1/serving?")


def test_every_exporter_has_its_job_in_prometheus_configuration() -> None:
    jobs = {exporter.job: ["127.0.0.1:1"] for exporter in exporters.wanted(URLS)}
    shipped = prometheus.configuration(jobs)["scrape_configs"]
    assert {job["job_name"] for job in shipped} == set(jobs)
    assert set(jobs) <= set((prometheus.HOME / "prometheus.yml").read_text().split())


def test_what_is_not_installed_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert exporters.start(tmp_path, {"redis-cache": "redis://127.0.0.1:3/0"}) == []


def test_an_exporter_that_is_there_answers_and_one_that_fails_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs of the exporters' names: one serves what its environment says, the other ends at once."""
    places = tmp_path / "bin"
    places.mkdir()
    program = places / "prometheus-node-exporter"
    program.write_text(
        "#!/bin/sh\nport=${1##*:}\nexec python3 -m http.server --bind 127.0.0.1 --directory "
        f"{places} $port\n"
    )  # fmt: skip
    (places / "prometheus-redis-exporter").write_text("#!/bin/sh\nexit 3\n")
    (places / "metrics").write_text("node_load1 1\n")
    for path in places.glob("prometheus-*"):
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{places}:/usr/local/bin:/usr/bin:/bin")
    started = exporters.start(tmp_path, {"redis-cache": "redis://127.0.0.1:3/0"})
    try:
        assert [job for job, _ in started] == ["node"]
        with urllib.request.urlopen(started[0][1].url) as answer:
            assert answer.read() == b"node_load1 1\n"
    finally:
        for _, server in started:
            server.stop()
