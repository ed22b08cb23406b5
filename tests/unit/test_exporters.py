"""The exporters of the stack: one for each server that has one, none that is not installed."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest
import yaml

from serving_site.stack import exporters, prometheus
from tests import dashboards

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


def test_postgres_exporter_is_told_how_to_count_the_rows_that_the_dashboard_shows() -> None:
    found = {exporter.name: exporter for exporter in exporters.wanted(URLS)}
    (word,) = found["postgres"].words
    tables = yaml.safe_load(Path(word.removeprefix("--extend.query-path=")).read_text())
    named = {f"{table}_{name}" for table, how in tables.items() for one in how["metrics"] for name in one}
    shown = {name for target in dashboards.targets("prometheus") for name in named if name in target.query["expr"]}
    assert shown == {"pg_tables_n_dead_tup"}


def test_an_exporter_that_answers_late_is_waited_for_while_others_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Elasticsearch's answers after ten seconds where its server has no page at the root."""
    assert exporters.PATIENCE_S >= 2 * 10
    for job in ("node", "elasticsearch"):
        path = tmp_path / f"prometheus-{job}-exporter"
        path.write_text("#!/bin/sh\nsleep 1\nexec python3 -m http.server --bind 127.0.0.1 ${1##*:}\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/local/bin:/usr/bin:/bin")
    started = exporters.start(tmp_path, {"elasticsearch": "http://127.0.0.1:5"})
    for _, server in started:
        server.stop()
    assert [job for job, _ in started] == ["node", "elasticsearch"]


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
