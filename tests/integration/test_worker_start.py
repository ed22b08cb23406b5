"""A worker process starts whole or not at all, and so does beat."""

from __future__ import annotations

import socket
import subprocess
import sys

from tests.running import ROOT, clean_environment


def run_celery(arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "celery", "-A", "serving_site", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_worker_whose_metrics_have_no_port_ends_instead_of_working_without_them(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        broker = "amqp://127.0.0.1:1"  # nobody there: a worker that begins goes on asking for it
        port = str(taken.getsockname()[1])
        ended = run_celery(
            ["worker", "-P", "threads", "-Q", "operations"],
            clean_environment(tmp_path, RABBITMQ_URL=broker, METRICS_PORT=port),
        )
    assert ended.returncode == 1
    assert "worker_not_started" in ended.stdout + ended.stderr


def test_beat_that_cannot_keep_its_log_lines_ends_instead_of_working_without_them(tmp_path):
    (tmp_path / "log-spool").write_text("no folder")
    services = {
        "RABBITMQ_URL": "amqp://127.0.0.1:1",
        "REDIS_URL": "redis://127.0.0.1:1",
        "DATABASE_URL": "postgresql://127.0.0.1:1/serving",
    }
    ended = run_celery(["beat", "--pidfile", ""], clean_environment(tmp_path, **services))
    assert ended.returncode == 1
    assert "beat_not_started" in ended.stdout + ended.stderr
