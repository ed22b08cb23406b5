"""Several brokers in RABBITMQ_URL, the first of them dead: every publisher goes on with the next."""

from __future__ import annotations

from pathlib import Path

from serving_site.stack.server import free_port
from tests.running import clean_environment, run_program
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
    done = run_program(PROGRAM, clean_environment(tmp_path, **urls))
    assert done.stdout.split() == ["OK", "sent"], done.stderr[-2000:]
