"""A worker process starts whole or not at all."""

from __future__ import annotations

import socket
import subprocess
import sys

from tests.running import ROOT, clean_environment


def test_a_worker_whose_metrics_have_no_port_ends_instead_of_working_without_them(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        broker = "amqp://127.0.0.1:1"  # nobody there: a worker that begins goes on asking for it
        port = str(taken.getsockname()[1])
        ended = subprocess.run(
            [sys.executable, "-m", "celery", "-A", "serving_site", "worker", "-P", "threads", "-Q", "operations"],
            cwd=ROOT,
            env=clean_environment(tmp_path, RABBITMQ_URL=broker, METRICS_PORT=port),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 1
    assert "worker_not_started" in ended.stdout + ended.stderr
