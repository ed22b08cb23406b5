"""Several brokers in RABBITMQ_URL, the first of them dead: every publisher goes on with the next."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from serving_site.stack.server import free_port
from tests.running import ROOT, clean_environment
from tests.services import Services

PROGRAM = """
import django
django.setup()
from django.conf import settings
from serving_site import topology
from serving_site.celery import Question, app
print(Question().ask().state.name)
topology.declare_now()
with app.connection_for_write() as connection:
    connection.ensure_connection(max_retries=0, timeout=3)
app.send_task("nobody.listens", queue=settings.OPERATIONS_QUEUE, expires=0.001)
print("sent")
"""


def test_a_dead_first_node_stops_no_publisher(services: Services, tmp_path: Path) -> None:
    given = services.stack.environment
    dead = given["RABBITMQ_URL"].replace(given["RABBITMQ_URL"].rpartition(":")[2].partition("/")[0], str(free_port()))
    urls = {**given, "RABBITMQ_URL": f"{dead};{given['RABBITMQ_URL']}"}
    environment = {**clean_environment(tmp_path, **urls), "DJANGO_SETTINGS_MODULE": "serving_site.settings"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split() == ["OK", "sent"], done.stderr[-2000:]
